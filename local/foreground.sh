#!/usr/bin/env bash
# Run a program for make so that it ends in order. In a terminal it becomes the foreground job: Ctrl-C reaches it alone, and make
# ends with its exit code instead of "Interrupt". Elsewhere it replaces this shell. Whoever kills make stops it too.
set -u
as_child=(setpriv --pdeathsig INT --)
if [[ -t 0 ]]; then
  set -m
  "${as_child[@]}" "$@"
  exit
fi
exec "${as_child[@]}" "$@"
