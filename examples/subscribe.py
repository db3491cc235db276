#!/usr/bin/env python3
"""Prints the messages of a channel and misses none of them, over restarts of the server and tokens that expire.

    pip install "python-socketio[client]"     (Debian: python3-socketio, python3-requests, python3-websocket)
    GATEHOUSE_USER=ann GATEHOUSE_PASSWORD=... python3 examples/subscribe.py news

GATEHOUSE_URL is where the server is, http://localhost:8000 unless it is set.
"""
import json
import os
import sys
import threading
import time

import requests
import socketio

URL = os.environ.get("GATEHOUSE_URL", "http://localhost:8000")
NAMESPACE = "/broadcasting"
# After these the server does not want this user back.
FINAL = {"logged_out", "account_disabled", "account_deleted"}

# The library comes back after a lost connection, but not after a farewell or a refusal: keep_connected() does after all of them.
client = socketio.Client(reconnection=False)
tokens = {}
# The sequence of the last message that was printed, and the epoch that it belongs to.
position = {"after": None, "epoch": None}
finished = threading.Event()


def say(line):
    print(line, file=sys.stderr, flush=True)


def post(path, body):
    answer = requests.post(f"{URL}/api/v1{path}", json=body, timeout=10)
    answer.raise_for_status()
    return answer.json()


def sign_in():
    tokens.update(post("/auth/login", {"username": os.environ["GATEHOUSE_USER"], "password": os.environ["GATEHOUSE_PASSWORD"]}))


def renew_tokens():
    try:
        tokens.update(post("/auth/refresh", {"refresh_token": tokens["refresh_token"]}))
    except requests.HTTPError as error:
        if error.response.status_code != 401:
            raise
        sign_in_again()


def sign_in_again():
    """The session is over, and perhaps the account, while nobody was there to be told."""
    try:
        sign_in()
    except requests.HTTPError as error:
        if error.response.status_code in (401, 403):
            say(f"not let in any more: {error.response.json()['error_code']}")
            finished.set()
        raise


def subscribe(channel):
    """The messages follow the answer, so that what it says is known before the first of them."""

    def answered(answer):
        if not answer["ok"]:
            say(f"{channel}: {answer['error']['error_code']}")
            if answer["error"]["code"] == 429 or answer["error"]["code"] >= 500:
                # It may be let in later, as when the database is back.
                time.sleep(1)
                return subscribe(channel)
            return finished.set()
        if not answer["recovered"]:
            say(f"{channel}: some messages are not kept any more; it goes on with {answer['first_sequence']}")
            position["after"] = answer["first_sequence"] - 1
        position["epoch"] = answer["epoch"]
        if position["after"] is None:
            position["after"] = answer["sequence"]
        say(f"{channel}: reading after {position['after']}")

    known = {key: value for key, value in position.items() if value is not None}
    client.emit("subscribe", {"channel": channel, **known}, namespace=NAMESPACE, callback=answered)


@client.event(namespace=NAMESPACE)
def connect():
    subscribe(sys.argv[1])


@client.event(namespace=NAMESPACE)
def message(received):
    # A message that is not durable has no place in the channel.
    if received["sequence"] is not None:
        if received["sequence"] <= position["after"]:
            return
        position["after"] = received["sequence"]
    print(received["channel"], received["sequence"] or "-", received["event"], json.dumps(received["data"]), flush=True)


@client.event(namespace=NAMESPACE)
def disconnect():
    say("disconnected")


@client.on("session:ended", namespace=NAMESPACE)
def session_ended(end):
    say(f"the connection ends: {end['reason']}")
    if end["reason"] in FINAL:
        finished.set()


def keep_connected():
    while not finished.wait(1):
        if client.connected:
            continue
        try:
            client.connect(URL, namespaces=[NAMESPACE], auth={"token": tokens["access_token"]}, wait_timeout=10)
        except (socketio.exceptions.ConnectionError, requests.RequestException) as error:
            say(f"not connected: {type(error).__name__}")
            try:
                renew_tokens()
            except requests.RequestException:
                say("the token could not be renewed either")


def keep_signed_in():
    """Renews the token of the open connection when three quarters of its time have passed, which leaves some for further attempts."""
    pause = tokens["expires_in"] * 0.75
    while not finished.wait(pause):
        pause = 5
        try:
            renew_tokens()
            # Otherwise the next connection shows the new token.
            if client.connected:
                client.call("authenticate", {"token": tokens["access_token"]}, namespace=NAMESPACE, timeout=10)
            pause = tokens["expires_in"] * 0.75
        except (socketio.exceptions.SocketIOError, requests.RequestException) as error:
            say(f"not renewed: {type(error).__name__}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sign_in()
    threading.Thread(target=keep_signed_in, daemon=True).start()
    keep_connected()
    sys.exit("there is nothing left to read")
