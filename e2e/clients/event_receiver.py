# Receives events of both forms: python3 event_receiver.py ISSUER OUR_SUBSYSTEM PORT
import base64, hashlib, json, jwt, sys, urllib.request, wsgiref.simple_server

issuer, audience, port = sys.argv[1:]
keys = jwt.PyJWKClient(json.load(urllib.request.urlopen(issuer + "/.well-known/ssf-configuration"))["jwks_uri"])
handled = set()  # yours is a table, written in the transaction that does the work
def receive(request, start):
    try:
        body = request["wsgi.input"].read(min(int(request["CONTENT_LENGTH"]), 1 << 16))
        is_set = request["CONTENT_TYPE"] == "application/secevent+jwt"
        token = body.decode() if is_set else request.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        typ, algorithms, needed = ("secevent+jwt", ["RS256", "ES256"], "sub_id") if is_set else ("event+jwt", ["ES256"], "exp")
        header = jwt.get_unverified_header(token)
        if header.get("typ") != typ or header["alg"] not in algorithms or "crit" in header:
            raise jwt.InvalidTokenError("another kind of token")
        checks = dict(issuer=issuer, audience=audience, leeway=10, options={"require": ["jti", "events", needed]})
        event = jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms, **checks)
        (event["type"], said), *more = event["events"].items()
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")
        if more or not is_set and said["body_sha256"] != digest:
            raise jwt.InvalidTokenError("another body, or two events")
        if event["jti"] not in handled:
            print(json.dumps({**event, "data": said if is_set else json.loads(body)}), flush=True)
        return start("202 Accepted", []) and (handled.add(event["jti"]) or [])
    except Exception as wrong:  # 503, send it again, where the keys could not be had or the trouble is our own
        start("400 Refused" if isinstance(wrong, jwt.InvalidTokenError) else "503 Again", [("Content-Type", "application/json")])
        return [json.dumps({"err": "invalid_request", "description": str(wrong)}).encode()]

wsgiref.simple_server.make_server("localhost", int(port), receive).serve_forever()
