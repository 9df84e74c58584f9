# Sourced by the scripts that do several things one after the other: announces each, times it, and lists them at the end.
# A script that must tidy up defines a function `tidy`; it is called at the end, however that comes about.
# shellcheck shell=bash

phases=()
left_out=()
phase_now=

# phase NAME COMMAND...: runs the command; the script ends where it fails. Not inside `if` or `||`: there `set -e` is off, and
# a command that fails within a function would go unnoticed.
phase() {
  local start=$SECONDS
  phase_now=$1
  shift
  printf '\n==> %s\n' "$phase_now"
  "$@"
  phases+=("$(printf '%5d s  %s' "$((SECONDS - start))" "$phase_now")")
  printf '==> %s: done in %d s\n' "$phase_now" "$((SECONDS - start))"
  phase_now=
}

# leave_out WHAT REASON: remembers it for the last lines.
leave_out() {
  left_out+=("$1: $2")
  printf '\n==> %s: left out, %s\n' "$1" "$2"
}

# The durations, then what was left out. Fails when something was left out in continuous integration.
conclude() {
  printf '\n'
  printf '%s\n' "${phases[@]}"
  printf '%5d s  in all\n' "$SECONDS"
  ((${#left_out[@]})) || return 0
  printf '\nLeft out:\n'
  printf -- '- %s\n' "${left_out[@]}"
  if [[ ${CI:-} == true ]]; then
    printf '\nIn continuous integration (CI=true) nothing may be left out.\n' >&2
    return 1
  fi
}

phases_end() {
  local status=$?
  if [[ -n $phase_now ]]; then
    printf '\n==> %s: FAILED\n' "$phase_now" >&2
  fi
  if declare -F tidy >/dev/null; then
    tidy
  fi
  exit "$status"
}
trap phases_end EXIT
