-- The schema of the first release, as PostgreSQL keeps it.
CREATE TABLE cache (
	key VARCHAR NOT NULL,
	text TEXT NOT NULL,
	stored_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (key)
);

CREATE INDEX ix_cache_stored_at ON cache (stored_at);

CREATE TABLE control (
	kind VARCHAR NOT NULL,
	subject VARCHAR NOT NULL,
	value JSON NOT NULL,
	at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (kind, subject)
);

CREATE TABLE decisions (
	id VARCHAR NOT NULL,
	resource VARCHAR NOT NULL,
	at DOUBLE PRECISION NOT NULL,
	decided_at DOUBLE PRECISION NOT NULL,
	verdict VARCHAR NOT NULL,
	kept BOOLEAN NOT NULL,
	ticks INTEGER NOT NULL,
	body JSON NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT one_per_tick UNIQUE (resource, at)
);

CREATE INDEX decisions_by_age ON decisions (decided_at);

CREATE INDEX decisions_of ON decisions (resource, decided_at);

CREATE TABLE hosts (
	name VARCHAR NOT NULL,
	spec JSON NOT NULL,
	updated_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE leases (
	resource VARCHAR NOT NULL,
	token INTEGER NOT NULL,
	holder VARCHAR,
	expires_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (resource)
);

CREATE TABLE meta (
	key VARCHAR NOT NULL,
	value JSON NOT NULL,
	PRIMARY KEY (key)
);

CREATE TABLE outcomes (
	switchover VARCHAR NOT NULL,
	resource VARCHAR NOT NULL,
	measured_at DOUBLE PRECISION NOT NULL,
	body JSON NOT NULL,
	PRIMARY KEY (switchover)
);

CREATE INDEX outcomes_of ON outcomes (resource, measured_at);

CREATE TABLE plans (
	id VARCHAR NOT NULL,
	resource VARCHAR NOT NULL,
	decision_id VARCHAR,
	body JSON NOT NULL,
	expires_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX ix_plans_decision_id ON plans (decision_id);

CREATE TABLE resources (
	name VARCHAR NOT NULL,
	spec JSON NOT NULL,
	primary_host VARCHAR,
	updated_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE schema_version (
	version SERIAL NOT NULL,
	applied_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (version)
);

CREATE TABLE switchovers (
	id VARCHAR NOT NULL,
	resource VARCHAR NOT NULL,
	source VARCHAR NOT NULL,
	destination VARCHAR NOT NULL,
	plan JSON NOT NULL,
	token INTEGER NOT NULL,
	started_at DOUBLE PRECISION NOT NULL,
	outcome VARCHAR,
	direction VARCHAR,
	pivoted BOOLEAN NOT NULL,
	ended_at DOUBLE PRECISION,
	decision_id VARCHAR,
	switch_ms DOUBLE PRECISION,
	pause_ms DOUBLE PRECISION,
	rto_seconds DOUBLE PRECISION,
	rpo_seconds DOUBLE PRECISION,
	error TEXT,
	PRIMARY KEY (id)
);

CREATE INDEX ix_switchovers_decision_id ON switchovers (decision_id);

CREATE UNIQUE INDEX one_under_way ON switchovers (resource) WHERE outcome IS NULL;

CREATE INDEX switchovers_of ON switchovers (resource, started_at);

CREATE TABLE acknowledgements (
	resource VARCHAR NOT NULL,
	host VARCHAR NOT NULL,
	version INTEGER NOT NULL,
	root VARCHAR NOT NULL,
	captured_at DOUBLE PRECISION NOT NULL,
	acknowledged_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (resource, host),
	FOREIGN KEY(resource) REFERENCES resources (name) ON DELETE CASCADE
);

CREATE TABLE instances (
	resource VARCHAR NOT NULL,
	host VARCHAR NOT NULL,
	role VARCHAR NOT NULL,
	spec JSON NOT NULL,
	updated_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (resource, host),
	FOREIGN KEY(resource) REFERENCES resources (name),
	FOREIGN KEY(host) REFERENCES hosts (name)
);

CREATE UNIQUE INDEX one_primary ON instances (resource) WHERE role = 'primary';

CREATE TABLE learned_weights (
	resource VARCHAR NOT NULL,
	weights JSON NOT NULL,
	updated_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (resource),
	FOREIGN KEY(resource) REFERENCES resources (name) ON DELETE CASCADE
);

CREATE TABLE pair_terms (
	resource VARCHAR NOT NULL,
	host VARCHAR NOT NULL,
	value DOUBLE PRECISION NOT NULL,
	updated_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (resource, host),
	FOREIGN KEY(resource) REFERENCES resources (name) ON DELETE CASCADE,
	FOREIGN KEY(host) REFERENCES hosts (name) ON DELETE CASCADE
);

CREATE TABLE placements (
	resource VARCHAR NOT NULL,
	body JSON NOT NULL,
	updated_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (resource),
	FOREIGN KEY(resource) REFERENCES resources (name) ON DELETE CASCADE
);

CREATE TABLE round_trips (
	source VARCHAR NOT NULL,
	destination VARCHAR NOT NULL,
	seconds DOUBLE PRECISION NOT NULL,
	measured_at DOUBLE PRECISION NOT NULL,
	PRIMARY KEY (source, destination),
	FOREIGN KEY(source) REFERENCES hosts (name) ON DELETE CASCADE,
	FOREIGN KEY(destination) REFERENCES hosts (name) ON DELETE CASCADE
);

CREATE TABLE steps (
	switchover VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	position INTEGER NOT NULL,
	state VARCHAR NOT NULL,
	started_at DOUBLE PRECISION NOT NULL,
	ended_at DOUBLE PRECISION,
	detail TEXT NOT NULL,
	PRIMARY KEY (switchover, name),
	FOREIGN KEY(switchover) REFERENCES switchovers (id) ON DELETE CASCADE
);
