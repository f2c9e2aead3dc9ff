# GeneT5 on NVIDIA's PyTorch container, whose own PyTorch stays as it is:
#     docker build --tag genet5 .
# Without a GPU (PyTorch then comes from the package index):
#     docker build --build-arg BASE=python:3.12-slim --tag genet5-cpu .
# BASE is an argument, and no digest stands here: NVIDIA publishes one tag for two processor architectures and patches it
# in place. A build that must not change names one: --build-arg BASE=nvcr.io/nvidia/pytorch@sha256:...
ARG BASE=nvcr.io/nvidia/pytorch:25.12-py3
FROM ${BASE}

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_BREAK_SYSTEM_PACKAGES=1

WORKDIR /workspace/GeneT5

# Dependencies first: this layer is built again only when they change. The base's own PyTorch and NumPy are constraints,
# and the build fails if pip replaced one of them all the same.
COPY pyproject.toml ./
COPY docker ./docker
RUN python3 docker/plan.py write /tmp/plan \
    && python3 -m pip install --constraint /tmp/plan/constraints.txt --requirement /tmp/plan/requirements.txt \
    && python3 docker/plan.py check /tmp/plan \
    && rm -r /tmp/plan

# An editable install points at /workspace/GeneT5/lib, so a checkout mounted there is the code that runs.
# The base image's own constraints (PIP_CONSTRAINT) would also bind the build tools; they are not for these.
COPY . .
RUN env --unset=PIP_CONSTRAINT python3 -m pip install --no-deps --editable .

# Any user may run the image (docker run --user): home, caches and the mount points are writable by all, and the user
# has a name even without an entry in /etc/passwd, which torch.compile's cache asks for.
ENV HOME=/tmp/genet5 \
    USER=genet5 \
    LOGNAME=genet5 \
    TORCHINDUCTOR_CACHE_DIR=/tmp/genet5/inductor
RUN mkdir -p /tmp/genet5 /workspace/raw /workspace/baked /workspace/model /workspace/logs \
    && chmod 1777 /tmp/genet5 /workspace/raw /workspace/baked /workspace/model /workspace/logs

# Not root, whoever starts it without --user.
USER 1000:1000

CMD ["bash"]
