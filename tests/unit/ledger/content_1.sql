-- What the first release had written: a controller died after its commit.
INSERT INTO control ("kind", "subject", "value", "at")
  VALUES ('paused', '*', 'true', 1795500000.25);
INSERT INTO control ("kind", "subject", "value", "at")
  VALUES ('pinned', 'checkout', '{"availability": 0.5}', 1795500000.25);
INSERT INTO hosts ("name", "spec", "updated_at")
  VALUES ('edge-a', '{"name": "edge-a", "address": "192.0.2.1", "port": 7443, "zone": "", "capacity": {"cpu": null, "memory": null, "rate": null}, "driver": "agent", "labels": {}, "groups": [], "relay": false}', 1795500000.25);
INSERT INTO hosts ("name", "spec", "updated_at")
  VALUES ('edge-b', '{"name": "edge-b", "address": "192.0.2.1", "port": 7443, "zone": "", "capacity": {"cpu": null, "memory": null, "rate": null}, "driver": "agent", "labels": {}, "groups": [], "relay": false}', 1795500000.25);
INSERT INTO leases ("resource", "token", "holder", "expires_at")
  VALUES ('checkout', 1, 'h:b:1:1', 1795500060.25);
INSERT INTO meta ("key", "value")
  VALUES ('retention', '{"plans": 86400.0}');
INSERT INTO plans ("id", "resource", "decision_id", "body", "expires_at")
  VALUES ('94ace6169b025e14c8641718b218af3a', 'checkout', 'd1', '{"resource": "checkout", "seen": {"spec": "digest", "source": "edge-a", "destination": "edge-b", "traffic": [[["edge-a", 100], ["edge-b", 0]]], "shadow_state": "frozen"}, "steps": ["activate", "shift-100"], "weights": [100], "soak": 0.1, "drill": false, "failover": false, "decision_id": "d1", "expires_at": 1795508000.125}', 1795508000.125);
INSERT INTO resources ("name", "spec", "primary_host", "updated_at")
  VALUES ('checkout', '{"name": "checkout", "primary": "edge-a", "service": {"command": ["/opt/checkout"], "port": 8080, "user": null, "pid_file": null, "environment": {}, "health": {"path": null, "tcp": true, "command": [], "successes": 3, "timeout": 2.0, "start_timeout": 30.0}, "drain": {"source": "sockets", "path": null, "timeout": 60.0}, "hooks": {"reload": [], "promote": [], "fence": []}, "profile": null, "stop_timeout": 10.0}, "shadows": {"count": 1, "mode": "warm", "candidates": {"groups": [], "hosts": []}, "spread": null, "release": null}, "deploy": {"role": null}, "state": [], "sync": {"interval": 5.0, "max_staleness": 30.0, "bandwidth": null}, "directors": [], "metrics": {"sources": [], "step": 300.0, "history": 1209600.0, "clock": {"origin": 0.0, "started": 0.0, "rate": 1.0}, "utilization": null, "latency": null, "demand": {}}, "triggers": {"horizon": 1800.0, "utilization": 0.8, "latency_increase": 0.5, "latency": null, "quantile": 0.8, "false_alarms_per_week": 1.0}, "placement": {"weights": {"load_similarity": 0.3, "network_proximity": 0.2, "availability": 0.5}, "labels": {}, "anti_affinity": []}, "policy": {"mode": "forecast_only", "steps": [10, 50, 100], "soak": 10.0, "pause_writes": false, "pause_limit": 5.0, "cooldown": 1800.0, "windows": [], "max_concurrent": 2, "drill_max_age": 2592000.0, "min_stay": 0.0, "max_moves_per_day": 24, "flap_window": 21600.0}, "events": []}', 'edge-b', 1795500000.25);
INSERT INTO schema_version ("version", "applied_at")
  VALUES (1, 1795500000.25);
INSERT INTO switchovers ("id", "resource", "source", "destination", "plan", "token", "started_at", "outcome", "direction", "pivoted", "ended_at", "decision_id", "switch_ms", "pause_ms", "rto_seconds", "rpo_seconds", "error")
  VALUES ('s1', 'checkout', 'edge-a', 'edge-b', '{"resource": "checkout", "seen": {"spec": "digest", "source": "edge-a", "destination": "edge-b", "traffic": [[["edge-a", 100], ["edge-b", 0]]], "shadow_state": "frozen"}, "steps": ["activate", "shift-100"], "weights": [100], "soak": 0.1, "drill": false, "failover": false, "decision_id": "d1", "expires_at": 1795508000.125}', 1, 1795500001.25, NULL, NULL, TRUE, NULL, 'd1', NULL, NULL, NULL, NULL, NULL);
INSERT INTO acknowledgements ("resource", "host", "version", "root", "captured_at", "acknowledged_at")
  VALUES ('checkout', 'edge-b', 7, 'abababababababababababababababababababababababababababababababab', 1795499998.25, 1795499999.25);
INSERT INTO instances ("resource", "host", "role", "spec", "updated_at")
  VALUES ('checkout', 'edge-a', 'shadow', '{"resource": "checkout", "host": "edge-a", "role": "shadow", "mode": "warm", "state": "running", "address": "192.0.2.1", "port": 8080, "version": 0, "release": null, "launched": ""}', 1795500000.25);
INSERT INTO instances ("resource", "host", "role", "spec", "updated_at")
  VALUES ('checkout', 'edge-b', 'primary', '{"resource": "checkout", "host": "edge-b", "role": "primary", "mode": "warm", "state": "frozen", "address": "192.0.2.1", "port": 8080, "version": 0, "release": null, "launched": ""}', 1795500000.25);
INSERT INTO steps ("switchover", "name", "position", "state", "started_at", "ended_at", "detail")
  VALUES ('s1', 'activate', 0, 'done', 1795500001.35, 1795500001.45, 'thawed; it''s “well”');
