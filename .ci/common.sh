# common.sh - what .ci/run and .ci/wheel share; sourced in the root of the checkout.
root=$PWD
work=$(mktemp -d)
python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 CI=true

have() { command -v "$1" >/dev/null; }

skipped=()
skip() {
    echo "SKIPPED: $1"
    skipped+=("$1")
}

# quietly COMMAND...: its output only if it fails
quietly() { "$@" >"$work/quietly.log" 2>&1 || { cat "$work/quietly.log"; return 1; }; }

# new_environment NAME: a virtual environment in $work, activated
new_environment() {
    "$python" -m venv "$work/$1"
    . "$work/$1/bin/activate"
}

# test_files NAME...: the path of each test_NAME.py, wherever it is under tests/; NAME may be a pattern
test_files() {
    local name found
    for name; do
        found=$(find tests -name "test_$name.py")
        if [[ -z $found ]]; then
            echo "there is no test_$name.py under tests/" >&2
            return 1
        fi
        echo "$found"
    done
}
