#!/bin/sh
# Make a virtual environment where it is missing or half made, and install into it. Needs nothing but a Python.
#
#   [PYTHON=/path/to/python] venv.sh FOLDER PIP-INSTALL-ARGUMENT...
#   [PYTHON=/path/to/python] venv.sh --is-current FOLDER
#
# Without PYTHON the newest of python3.14 ... python3.11, python3 that runs is taken. The second form only asks
# whether the folder holds a whole environment, made with that Python. Where the script cannot go on, it ends with one
# line that names the cure.
set -eu

oldest=3.11

main() {
    if [ "$1" = --is-current ]; then
        folder=$2
        is_current
        return
    fi
    folder=$1
    shift
    if ! is_current || ! is_new_enough "$folder/bin/python" || ! "$folder/bin/python" -c 'import pip' 2>/dev/null; then
        make_venv
    fi
    echo "Installing into $folder ..."
    touch "$folder/.unfinished"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    rm "$folder/.unfinished"
}

# .unfinished is there while something is being put into the folder; .python says what the folder was made with.
is_current() {
    [ -x "$folder/bin/python" ] && [ ! -e "$folder/.unfinished" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(cat "$folder/.python" 2>/dev/null)" = "$PYTHON" ]
}

make_venv() {
    find_python
    echo "Making $folder with Python $(version_of "$python") ..."
    rm -rf "$folder"
    mkdir -p "$folder"
    touch "$folder/.unfinished"
    echo "$python" >"$folder/.python"
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv "$folder"
    else
        make_without_ensurepip || fail "$python cannot make a virtual environment: it has no ensurepip, and no pip" \
            "(22.3 or newer), uv or virtualenv did it instead; on Debian and Ubuntu: apt install $(debian_package)"
    fi
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.14 python3.13 python3.12 python3.11 python3
    fi
    for python; do
        if is_new_enough "$python"; then
            return
        fi
    done
    # The last one tried is the one that PYTHON names, or else python3.
    fail "needs Python $oldest or newer, and $python is $(version_of "$python"): install one, or name one" \
        "that is not on PATH by 'make PYTHON=/path/to/python$oldest'"
}

# A name on PATH proves little (pyenv puts shims there for versions that are switched off), so each candidate is run.
is_new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info < (${oldest%.*}, ${oldest#*.}))" 2>/dev/null
}

version_of() {
    "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo "not there"
}

# Debian and Ubuntu put ensurepip into a package of its own; pip then comes from whatever else can install it.
make_without_ensurepip() {
    if "$python" -m venv --without-pip "$folder" 2>/dev/null; then
        for pip in "$python -m pip" "python3 -m pip" pip3 pip; do
            # shellcheck disable=SC2086  # a command and its arguments
            $pip --python "$folder/bin/python" install --quiet --disable-pip-version-check pip 2>/dev/null && return
        done
        uv pip install --quiet --python "$folder/bin/python" pip 2>/dev/null && return
    fi
    virtualenv --quiet --python "$python" "$folder" 2>/dev/null
}

debian_package() {
    "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

fail() {
    echo "outlast: $*" >&2
    exit 1
}

main "$@"
