-- ledger_report.sql
--		What bench/ledger measured, beside the goals.

\set ON_ERROR_STOP 1
\set QUIET 1
\pset footer off

-- Round 0 warms up.
CREATE TEMP VIEW median AS
SELECT section, side,
	   (percentile_cont(0.5) WITHIN GROUP (ORDER BY per_second))::numeric AS per_second,
	   (percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu_us))::numeric AS cpu_us,
	   sum(retried) AS retried
  FROM bench.result WHERE round > 0 GROUP BY section, side;
CREATE TEMP VIEW median_figure AS
SELECT section, side, name, (percentile_cont(0.5) WITHIN GROUP (ORDER BY value))::numeric AS value
  FROM bench.figure GROUP BY section, side, name;

\echo
\echo Transfers or trades per second, CPU of the backend per transfer in microseconds,
\echo and transactions that were tried again because of a deadlock.
SELECT section, side, round(per_second) AS per_second, round(cpu_us, 1) AS cpu_us, retried
  FROM median ORDER BY section, per_second DESC;

\echo Bytes of WAL per transfer, without full-page images, by type of record.
SELECT section, name AS record_type,
	   round(sum(value) FILTER (WHERE side = 'none')) AS "none",
	   round(sum(value) FILTER (WHERE side = 'checked')) AS checked,
	   round(sum(value) FILTER (WHERE side = 's1')) AS s1,
	   round(sum(value) FILTER (WHERE side = 's3')) AS s3,
	   round(sum(value) FILTER (WHERE side = 'risk_ext')) AS risk_ext,
	   round(sum(value) FILTER (WHERE side = 'risk_ext_batch')) AS risk_ext_batch
  FROM median_figure WHERE section LIKE 'wal%'
 GROUP BY section, name HAVING max(value) >= 0.5 ORDER BY section, max(value) DESC;

\echo Goals.
WITH goal(section, what, side, other, rule, goal) AS (VALUES
	('single', 'speed', 'risk_ext', 'none', '>=', 0.65),
	('single', 'speed', 'risk_ext', 'checked', '>=', 1.15),
	('single', 'cpu', 'risk_ext', 'checked', '<=', 0.8),
	('single', 'speed', 'risk_ext', 'row_trigger', '>=', 1),
	('single', 'speed', 'risk_ext', 'pgledger', '>=', 4),
	('single_fsync', 'speed', 'risk_ext', 'checked', '>=', 1),
	('batch_1000', 'speed', 'risk_ext', 's1', '>=', 1),
	('batch_1000', 'speed', 'risk_ext', 's3', '>=', 2),
	('batch_1000', 'speed', 'risk_ext', 'none', '>=', 0.65),
	('batch_1000', 'speed', 'risk_ext_batch', 's1', '>=', 1),
	('batch_1000', 'speed', 'risk_ext_batch', 'pgledger', '>=', 15),
	('batch_100', 'speed', 'risk_ext', 's1', '>=', 1),
	('batch_100', 'speed', 'risk_ext_batch', 's1', '>=', 1),
	('batch_100', 'speed', 'risk_ext_batch', 'pgledger', '>=', 8),
	('trades by COPY of 1000', 'speed', 'risk_ext', 'row_trigger', '>=', 4),
	('trades by COPY of 20000', 'speed', 'risk_ext', 'row_trigger', '>=', 4),
	('hot', 'speed', 'risk_ext', 'checked', '>=', 1.6),
	('hot_fsync', 'speed', 'risk_ext', 'checked', '>=', 2.5),
	('hot_slow_flush', 'speed', 'risk_ext', 'checked', '>=', 5)),
ratio AS (
	SELECT g.section, CASE g.side WHEN 'risk_ext' THEN '' ELSE 'post_batch ' END || g.what || ' : ' || g.other AS what,
		   CASE g.what WHEN 'speed' THEN a.per_second / b.per_second ELSE a.cpu_us / b.cpu_us END AS measured, g.rule, g.goal
	  FROM goal g
	  JOIN median a ON a.section = g.section AND a.side = g.side
	  JOIN median b ON b.section = g.section AND b.side = g.other
	UNION ALL
	SELECT 'same_transaction', 'last 1,000 : first 1,000', l.value / f.value, '<=', 1.5
	  FROM median_figure l JOIN median_figure f ON f.section = l.section AND f.name = 'first'
	 WHERE l.section = 'same_transaction' AND l.name = 'last'
	UNION ALL
	SELECT section, CASE side WHEN 'risk_ext' THEN '' ELSE 'post_batch ' END || 'bytes per transfer', sum(value), '<=',
		   CASE section WHEN 'wal_single' THEN 850 ELSE 560 END
	  FROM median_figure WHERE section LIKE 'wal%' AND side LIKE 'risk_ext%' GROUP BY section, side
	UNION ALL
	SELECT a.section, a.name || ' : none', a.value / b.value, '<=', 2
	  FROM median_figure a JOIN median_figure b ON b.section = a.section AND b.name = a.name
	 WHERE a.section LIKE 'million%' AND a.side = 'risk_ext' AND b.side = 'none'
	UNION ALL
	SELECT section, 'deadlocks', sum(retried), '<=', 0 FROM median WHERE side LIKE 'risk_ext%' AND retried IS NOT NULL
	 GROUP BY section)
SELECT section, what, round(measured, 2) AS measured, rule || ' ' || goal AS goal,
	   CASE WHEN CASE rule WHEN '>=' THEN measured >= goal ELSE measured <= goal END THEN 'met' ELSE 'missed' END AS verdict
  FROM ratio ORDER BY section, what;
\echo One transaction of 1,000,000 entries.
SELECT section, name, round(max(value) FILTER (WHERE side = 'none'), 1) AS "none",
	   round(max(value) FILTER (WHERE side = 'risk_ext'), 1) AS risk_ext
  FROM median_figure WHERE section LIKE 'million%' GROUP BY section, name ORDER BY section, name;
