#!/usr/bin/env bash
# The fast tests with every supported Python and with the oldest and the newest PyTorch; `make test-matrix` calls it.
#
# PYTHONS and TORCHES name other versions: PYTHONS=3.13 TORCHES=2.11.0 tests/matrix.sh. Each pair gets an environment in
# .matrix/, which later runs use again. A pair is skipped, with the reason, where there is no such interpreter or its
# PyTorch cannot be installed; the exit code is 1 if tests failed in any pair, or if all pairs were skipped.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

pythons=${PYTHONS:-3.11 3.12 3.13}
torches=${TORCHES:-2.10.0 newest}
summary=() tested=0 failed=0

report() { # VERDICT PYTHON TORCH [REASON]
    summary+=("$(printf '%-8s python %-5s torch %-8s %s' "$1" "$2" "$3" "${4:-}")")
}

# Make the environment of a pair, or print why there is none.
install() { # PYTHON TORCH FOLDER
    local torch="torch==$2"
    [ "$2" = newest ] && torch="torch>=2.10"
    [ -e "$3/installed" ] && return
    "$found" -m venv "$3" 2>/dev/null || { reason="python$1 has no venv module"; return 1; }
    "$3/bin/python" -m pip install -qq --disable-pip-version-check "$torch" ||
        { reason="torch could not be installed (see above)"; return 1; }
    grep -v '^torch' constraints.txt >"$3/constraints.txt"
    "$3/bin/python" -m pip install -qq --disable-pip-version-check --constraint "$3/constraints.txt" \
        "$torch" --editable ".[dev]" || { reason="the tests' packages could not be installed (see above)"; return 1; }
    touch "$3/installed"
}

# An interpreter on PATH, or one that pyenv has and does not show there.
interpreter() { # VERSION
    local each
    for each in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        "$each" -c '' 2>/dev/null && echo "$each" && return
    done
    return 1
}

for python in $pythons; do
    for torch in $torches; do
        if ! found=$(interpreter "$python"); then
            report skipped "$python" "$torch" "no interpreter python$python on PATH or in pyenv"
            continue
        fi
        folder=.matrix/python$python-torch$torch
        if ! install "$python" "$torch" "$folder"; then
            report skipped "$python" "$torch" "$reason"
            continue
        fi
        tested=$((tested + 1))
        if "$folder/bin/python" -m pytest -q -n "${WORKERS:-2}" --dist loadfile \
            -m "not data and not robust and not slow" tests/unit; then
            report passed "$python" "$torch"
        else
            report failed "$python" "$torch"
            failed=$((failed + 1))
        fi
    done
done

printf '%s\n' "" "${summary[@]}"
[ "$tested" -gt 0 ] && [ "$failed" = 0 ]
