"""Workers that are scripts."""

from __future__ import annotations

SCRIPT = """
import json, os, sys, time
channel = os.fdopen(int(sys.argv[1]), "w", buffering=1)
def send(**event): channel.write(json.dumps(event) + "\\n")
job = json.loads(sys.stdin.readline())
word = "go"
def turn():
    global word
    send(event="waiting")
    word = sys.stdin.readline().strip()
    return word == "go"
def work(name, seconds=.05):
    send(event="described", worker={"begin": time.monotonic()})
    time.sleep(seconds)
    send(event="described", worker={"end": time.monotonic()})
"""
