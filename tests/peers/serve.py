#!/usr/bin/env python3
"""Serves an MLflow store on a free loopback port until standard input ends, then stops the server and all its workers.

  serve.py --store sqlite:////path/mlflow.db --artifacts /path/artifacts --log server.log
  serve.py --store /path/mlruns --log server.log        (a file store, whose artifacts clients write themselves)

Prints the port once the server answers. A parent that dies, however it does, closes our standard input, so nothing stays.
"""
import argparse, os, signal, socket, subprocess, sys, threading, time, urllib.error, urllib.request


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def healthy(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--store", required=True)
    ap.add_argument("--artifacts")
    ap.add_argument("--log", required=True)
    ap.add_argument("--workers", default="1")
    ap.add_argument("option", nargs="*", help="further options of `mlflow server`, after --")
    a = ap.parse_args()
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", a.workers, "--backend-store-uri", a.store]
    command += ["--serve-artifacts", "--artifacts-destination", a.artifacts] if a.artifacts else ["--no-serve-artifacts", "--default-artifact-root", a.store]
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_ALLOW_FILE_STORE": "true",
           "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")}
    env.pop("MLFLOW_TRACKING_URI", None)
    proxies = urllib.request.ProxyHandler({})
    urllib.request.install_opener(urllib.request.build_opener(proxies))
    with open(a.log, "ab") as log:
        server = subprocess.Popen(command + a.option, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)

    def stop(*_):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(server.pid, sig)
            except ProcessLookupError:
                break
            try:
                server.wait(5 if sig == signal.SIGTERM else None)
            except subprocess.TimeoutExpired:
                pass
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), stop()), daemon=True).start()
    deadline = time.time() + 180
    while not healthy(port):
        if server.poll() is not None or time.time() > deadline:
            sys.stderr.write(f"the server does not answer; its log is {a.log}\n")
            stop()
        time.sleep(0.1)
    print(port, flush=True)
    server.wait()
    stop()


main()
