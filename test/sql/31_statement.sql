-- What an account had at a time, and statements that tie.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(301, 'statements');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (301, 1, 'USDT', 'alice'), (301, 2, 'USDT', 'bob'), (301, 3, 'USDT', 'nobody');
SELECT risk.system_account(301, 'external', 'USDT') AS external, risk.system_account(301, 'fee', 'USDT') AS fee \gset
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 31001;

-- 1. A statement: opening, lines, closing.  The caller says when it took
-- effect, the database when it was posted, and goes by that.

SELECT clock_timestamp() AS t0 \gset
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind, effective_at)
VALUES (301, :external, 1, 100, 'deposit', '2020-01-01'), (301, :external, 2, 50, 'deposit', '2999-01-01');
SELECT clock_timestamp() AS t1 \gset
SELECT risk.withdraw(1, 30.5, 301);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, effective_at) VALUES (301, 1, 2, 10, '2020-01-01');
SELECT clock_timestamp() AS t2 \gset
SELECT risk.deposit(1, 5, 301);
SELECT clock_timestamp() AS t3 \gset

SELECT line, kind, cause, amount, balance, slot, seq,
	   CASE WHEN effective_at < :'t0' THEN 'earlier' WHEN effective_at > :'t3' THEN 'later' END AS effective
  FROM risk.statement(1, :'t1', :'t2', 301);
SELECT line, kind, amount, balance FROM risk.statement(account_id => 1, from_time => :'t0', to_time => :'t3', book_id => 301);
SELECT risk.balance_at(1, :'t0', 301) AS t0, risk.balance_at(1, :'t1', 301) AS t1, risk.balance_at(1, :'t2', 301) AS t2,
	   risk.balance_at(1, :'t3', 301) AS t3;
-- the beginning and the end of time; an account to which nothing happened
SELECT a.account_id > 0 AS trader, risk.balance_at(a.account_id, '-infinity', 301) AS first, risk.balance_at(a.account_id, 'infinity', 301) AS last
  FROM (VALUES (1), (2), (3), (:external)) AS a(account_id);
SELECT line, posted_at, balance FROM risk.statement(3, '-infinity', 'infinity', 301);
-- an entry is in the interval that begins with it, and not in the one that ends with it
SELECT posted_at AS exactly FROM ledger.entry WHERE book_id = 301 AND account_id = 1 AND seq = 1 \gset
SELECT risk.balance_at(1, :'exactly', 301) AS at, risk.balance_at(1, :'exactly'::timestamptz + interval '1 microsecond', 301) AS after;
SELECT count(*) FILTER (WHERE line = 'entry') AS entries FROM risk.statement(1, '-infinity', :'exactly', 301);
SELECT count(*) FILTER (WHERE line = 'entry') AS entries FROM risk.statement(1, :'exactly', :'t1', 301);
SELECT line, amount, balance FROM risk.statement(1, :'exactly', :'exactly', 301);

-- 2. Many entries: each time there was, against the sum of all entries before it

-- 1,500 postings of one transaction are more than one slot of a system account takes
DO $$
DECLARE
	outside bigint := risk.system_account(301, 'external', 'USDT');
BEGIN
	FOR i IN 1 .. 1500 LOOP
		INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
		SELECT 301, outside, 2, n + i * 0.01, 'deposit' FROM generate_series(1, CASE WHEN i % 10 = 0 THEN 100 ELSE 1 END) n;
	END LOOP;
END
$$;
SELECT account_id = 2 AS trader, count(*) > 1 AS several_slots, sum(seq) AS entries
  FROM ledger.balance WHERE book_id = 301 AND account_id IN (2, :external) GROUP BY account_id ORDER BY account_id DESC;
WITH told AS (
	SELECT e.account_id, t.instant, sum(e.amount) FILTER (WHERE e.posted_at < t.instant) AS due
	  FROM (SELECT account_id, posted_at + d.d AS instant
			  FROM (SELECT account_id, posted_at, row_number() OVER (PARTITION BY account_id ORDER BY posted_at) AS n
					  FROM ledger.entry WHERE book_id = 301 GROUP BY account_id, posted_at) p,
				   (VALUES (interval '0'), (interval '1 microsecond')) AS d(d)
			 WHERE p.n % 50 = 1) t
	  JOIN ledger.entry e USING (account_id)
	 WHERE e.book_id = 301
	 GROUP BY e.account_id, t.instant)
SELECT count(*) > 100 AS many, count(*) FILTER (WHERE risk.balance_at(account_id, instant, 301) <> coalesce(due, 0)) AS wrong FROM told;
-- The statements of consecutive times tie, and each line has the balance after it.
WITH bound AS (
	SELECT a.account_id, posted_at AS t, lead(posted_at, 1, 'infinity') OVER (PARTITION BY a.account_id ORDER BY posted_at) AS u
	  FROM (VALUES (1), (2), (:external)) AS a(account_id),
		   (SELECT DISTINCT posted_at FROM ledger.entry WHERE book_id = 301 AND account_id = 2 AND seq % 1000 = 1
			UNION SELECT '-infinity') p
), told AS (
	SELECT b.account_id, b.t, max(s.balance) FILTER (WHERE s.line = 'opening') AS opening,
		   coalesce(sum(s.amount), 0) AS amount, max(s.balance) FILTER (WHERE s.line = 'closing') AS closing,
		   count(s.seq) AS lines
	  FROM bound b, risk.statement(b.account_id, b.t, b.u, 301) s
	 GROUP BY b.account_id, b.t
), tied AS (
	SELECT *, lag(closing, 1, 0) OVER (PARTITION BY account_id ORDER BY t) AS last_closing FROM told
)
SELECT count(*) AS statements, sum(lines) = (SELECT count(*) FROM ledger.entry WHERE book_id = 301 AND account_id IN (1, 2, :external)) AS every_entry,
	   count(*) FILTER (WHERE opening + amount <> closing) AS do_not_add_up,
	   count(*) FILTER (WHERE opening <> last_closing) AS do_not_follow
  FROM tied;
SELECT count(*) AS lines, count(*) FILTER (WHERE s.balance <> e.balance_after) AS wrong
  FROM risk.statement(2, '-infinity', 'infinity', 301) s
  JOIN ledger.entry e ON e.book_id = 301 AND e.account_id = 2 AND e.slot = s.slot AND e.seq = s.seq;

-- 3. What it costs: a look-up for each halving, however many entries there are

CREATE FUNCTION pg_temp.blocks(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE query;
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || query INTO plan;
	RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END
$$;
-- 14 halvings of 16,352 entries, 4 blocks each, and the rows of the account
SELECT e.entries, e.blocks > 400 AS many_blocks,
	   pg_temp.blocks(format('SELECT risk.balance_at(2, %L, 301)', e.middle)) <= 80 AS balance_in_few,
	   -- both ends of the statement, and both again for the lines
	   pg_temp.blocks(format('SELECT * FROM risk.statement(2, %L, %L, 301)', e.middle, e.middle)) <= 320 AS statement_in_few
  FROM (SELECT count(*) AS entries, percentile_disc(0.5) WITHIN GROUP (ORDER BY posted_at) AS middle,
			   pg_relation_size('ledger.entry') / 8192 AS blocks
		  FROM ledger.entry WHERE book_id = 301 AND account_id = 2) e;

-- 4. posted_at never runs backwards, whatever the clock does

-- a balance that was posted in the future, as after a clock that was ahead
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE ledger.balance SET posted_at = '2100-01-01' WHERE book_id = 301 AND account_id = 1;
COMMIT;
SELECT risk.deposit(1, 1, 301) > 0 AS deposited;
SELECT risk.withdraw(1, 2, 301) > 0 AS withdrawn;
SELECT seq, posted_at, amount FROM ledger.entry
 WHERE book_id = 301 AND account_id = 1 AND posted_at > :'t3' ORDER BY seq;
SELECT line, amount, balance FROM risk.statement(1, :'t3', 'infinity', 301);

-- 5. Errors

SELECT risk.balance_at(77, now(), 301);
SELECT risk.balance_at(1, now(), 3099);
SELECT * FROM risk.statement(77, '2020-01-01', '2020-01-02', 301);
SELECT * FROM risk.statement(1, '2020-01-02', '2020-01-01', 301);
SELECT risk.balance_at(1, NULL, 301) IS NULL AS unknown;
-- an entry that is not there is not taken for zero
BEGIN;
ALTER TABLE ledger.entry DISABLE TRIGGER ALL;
DELETE FROM ledger.entry WHERE book_id = 301 AND account_id = 1 AND seq = 3;
SELECT risk.balance_at(1, :'t2', 301);
ROLLBACK;

SELECT * FROM risk.verify() WHERE violations > 0;
