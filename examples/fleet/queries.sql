-- What to ask of a fleet, of `connections`: rows of `sockshim export --format parquet --connections`. One text for Spark,
-- DuckDB and ClickHouse; fleet.py reads this file. Percentiles are those of the nearest rank, which all of them can count.

-- name: top_talkers
SELECT "process.executable.name" AS program, "network.peer.address" AS peer, count(*) AS connections,
       sum(sent_bytes) AS sent, sum(received_bytes) AS received, sum(sent_bytes + received_bytes) AS both_ways
FROM connections WHERE role = 'active' AND "network.peer.address" IS NOT NULL
GROUP BY "process.executable.name", "network.peer.address"
ORDER BY both_ways DESC, program, peer LIMIT 20;

-- name: connect_latency
SELECT service, max(total) AS connections,
       min(CASE WHEN place >= 0.5 * total THEN connect_ns END) AS p50_ns,
       min(CASE WHEN place >= 0.99 * total THEN connect_ns END) AS p99_ns, max(connect_ns) AS max_ns
FROM (SELECT service, connect_ns, row_number() OVER (PARTITION BY service ORDER BY connect_ns) AS place,
             count(*) OVER (PARTITION BY service) AS total
      FROM (SELECT coalesce("server.address", "network.peer.address") AS service, connect_ns FROM connections
            WHERE role = 'active' AND connect_ns IS NOT NULL AND "network.peer.address" IS NOT NULL) AS connects) AS ranked
GROUP BY service ORDER BY service;

-- name: verdicts
SELECT verdict, count(*) AS connections FROM connections GROUP BY verdict ORDER BY verdict;

-- name: leaks
SELECT "release", "process.executable.name" AS program, count(*) AS leaked
FROM connections WHERE ending = 'leaked'
GROUP BY "release", "process.executable.name" ORDER BY "release", program;

-- Both ends of a connection: what is near to the one is far to the other, at about the same time. Clocks of two machines may
-- differ by 5 s here; what is further apart is a later connection with the same ports. Loopback addresses are the same on
-- every machine, so they need the same boot and the same network namespace.
-- name: pipes
SELECT c."host.name" AS client_host, c."process.executable.name" AS client, c."network.local.address" AS client_address,
       c."network.local.port" AS client_port, s."host.name" AS server_host, s."process.executable.name" AS server,
       s."network.local.port" AS server_port, c.sent_bytes AS sent, s.received_bytes AS arrived, c.conn AS client_conn,
       s.conn AS server_conn
FROM connections AS c JOIN connections AS s
  ON replace(c."network.local.address", '::ffff:', '') = replace(s."network.peer.address", '::ffff:', '')
 AND replace(c."network.peer.address", '::ffff:', '') = replace(s."network.local.address", '::ffff:', '')
 AND c."network.local.port" = s."network.peer.port" AND c."network.peer.port" = s."network.local.port"
WHERE c.role = 'active' AND s.role = 'passive' AND c."network.transport" = 'tcp' AND s."network.transport" = 'tcp'
  AND c.ts_ns <= s.ts_ns + s.dur_ns + 5000000000 AND s.ts_ns <= c.ts_ns + c.dur_ns + 5000000000
  AND ((replace(c."network.local.address", '::ffff:', '') NOT LIKE '127.%' AND c."network.local.address" <> '::1')
       OR (c.boot_id = s.boot_id AND c.net_namespace = s.net_namespace))
ORDER BY client_host, client_address, client_port, server_host;
