-- sweep_report.sql
--		What bench/sweep measured, beside the goals.

\set ON_ERROR_STOP 1
\set QUIET 1
\pset footer off
CREATE TEMP VIEW median AS
SELECT section, what, side, count(*) AS times, avg(seconds) AS mean,
	   (percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::numeric AS seconds,
	   avg(looked_at) AS looked_at, avg(found) AS found
  FROM bench.result GROUP BY section, what, side;

\echo
\echo Milliseconds, with the accounts that were looked at and that were liquidated, means.
SELECT section, what, side, times, round(seconds * 1000, 3) AS median, round(mean * 1000, 3) AS mean, round(looked_at, 2) AS looked_at, round(found, 2) AS found
  FROM median ORDER BY section, length(what), what, seconds;

\echo Quiet ticks by the number of positions: time, and what it grows by with each tenfold.
SELECT what AS positions, round(seconds * 1000, 3) AS milliseconds,
	   round((seconds / lag(seconds) OVER sizes) ^ (1 / log(what::numeric / lag(what::numeric) OVER sizes)), 3) AS growth,
	   round(log(what::numeric) / log(lag(what::numeric) OVER sizes), 3) AS "log n"
  FROM median WHERE section = 'growth' AND side = 'sweep' WINDOW sizes AS (ORDER BY what::numeric);

\echo Writes of quiet ticks.
SELECT what, sum(value) FROM bench.figure WHERE section = 'writes' GROUP BY what ORDER BY what;

\echo Of the trades, on how many the trigger moved, and of how many of the other positions.
SELECT section, what, round(avg(value), 3) AS moved FROM bench.figure WHERE section LIKE '%trade%' GROUP BY section, what ORDER BY 1, 2;
SELECT what, round(avg(value), 2) AS value FROM bench.figure WHERE section = 'cascade' GROUP BY what;

\echo Goals.
WITH ratio AS (
	SELECT 'tick of ' || a.what || ' : recompute of the instrument' AS what, a.seconds / b.seconds AS medians, a.mean / b.mean AS means, g.goal
	  FROM (VALUES ('1 bp', 0.0005), ('5 bp', 0.002), ('10 bp', 0.01)) g(what, goal)
	  JOIN median a ON a.section = 'ticks' AND a.what = g.what AND a.side = 'sweep'
	  JOIN median b ON b.section = 'ticks' AND b.what = g.what AND b.side = 'recompute'
	UNION ALL
	SELECT 'tick of ' || a.what || ' : recompute of everybody', a.seconds / b.seconds, a.mean / b.mean, g.goal
	  FROM (VALUES ('1 bp', 0.0005), ('5 bp', 0.002), ('10 bp', 0.01)) g(what, goal)
	  JOIN median a ON a.section = 'ticks' AND a.what = g.what AND a.side = 'sweep'
	  JOIN median b ON b.section = 'ticks' AND b.what = 'everybody'
	UNION ALL
	SELECT 'quiet tick of ' || a.what || ' positions : recompute of the instrument', a.seconds / b.seconds, a.mean / b.mean, 0.0005
	  FROM median a JOIN median b USING (section, what) WHERE a.section = 'growth' AND a.side = 'sweep' AND b.side = 'recompute'
	UNION ALL
	SELECT t.section || ', ' || t.what || ': triggers that ' || g.what || ' : without',
		   (r.seconds - f.seconds) / (t.seconds - r.seconds + f.seconds), (r.mean - f.mean) / (t.mean - r.mean + f.mean), g.goal
	  FROM (VALUES ('stay', 'there and back', 'reband, nothing moves', 0.15), ('move', 'larger', 'reband, all move', 0.6)) g(what, side, reband, goal)
	  JOIN median t ON t.side = g.side
	  JOIN median r ON r.section = t.section AND r.what = t.what AND r.side = g.reband
	  JOIN median f ON f.section = t.section AND f.what = t.what AND f.side = 'reband, no position'
	UNION ALL
	SELECT '1,000 liquidated, ' || a.what || ', ' || g.side || ' : ' || g.other, a.seconds / b.seconds, a.mean / b.mean, NULL
	  FROM (VALUES ('one sweep', 'by hand, one statement'), ('one sweep', 'by hand, one by one'), ('account by account', 'by hand, one by one')) g(side, other)
	  JOIN median a ON a.section = 'cascade' AND a.side = g.side
	  JOIN median b ON b.section = 'cascade' AND b.what = a.what AND b.side = g.other
)
SELECT what, round(medians, 5) AS medians, round(means, 5) AS means, '<= ' || goal AS goal,
	   CASE WHEN medians <= goal THEN 'met' WHEN goal IS NOT NULL THEN 'missed' END AS verdict
  FROM ratio;
