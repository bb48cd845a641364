"""The services behind the service, each of several pods: auth, billing and feature flags.

    GET  /v1/keys/verify       auth; header X-API-Key; 200 {"customer": 7}, 401 {"reason": "unknown"}
                               or 401 {"reason": "revoked"}, 503 when its database is away
    POST /v1/usage             billing; {"customer": 7, "events": 12}; 201 {"receipt": "…"}; with the header
                               Idempotency-Key a repetition books nothing: 200 and the first receipt
    GET  /v1/usage/7           billing; {"customer": 7, "events": 12, "receipts": 1}
    GET  /v1/flags/7           flags; {"flags": {"ingest": true, "query": true, "imports": true}}
    PUT  /v1/flags/7           flags; {"ingest": false} changes what is named

Pods of a service share what they know, as replicas with one store do. `python -m tally.upstreams`
starts them.
"""
