-- resets.sql
--		What resets cost: `make bench-resets` runs it on a cluster of its own.
--
-- Every loss is that of a long of one contract from 100 that is closed at 90 on
-- an empty account: 10 that the insurance fund pays.  by hand: the same rows of
-- shortfall, reset, fund_use, event and entry and the same balances, by one
-- statement per table, without a trigger, a lock or a check; a copy of the
-- tables with all keys and indexes.

\set ON_ERROR_STOP 1
\set QUIET 1
SET client_min_messages = warning;
\pset footer off
\o /dev/null
CREATE EXTENSION risk_ext;
SELECT risk.install();
INSERT INTO ledger.asset VALUES ('USD', 2);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (1, 'I', 'USD');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (1, 90);
SELECT risk.system_account(1, 'insurance_fund', 'USD') AS fund, risk.system_account(1, 'external', 'USD') AS outside \gset
INSERT INTO ledger.account (account_id, asset_code, owner_id) SELECT a, 'USD', 'owner ' || a FROM generate_series(1, 500000) a;
INSERT INTO ledger.transfer (from_account, to_account, amount, kind) VALUES (:outside, 500000, 1e9, 'deposit'), (:outside, :fund, 1e9, 'deposit');
CREATE SCHEMA bench;
CREATE TABLE bench.result (what text, side text, size int, round int, seconds numeric);

-- accounts from :first on, n of them, long one contract each
CREATE PROCEDURE bench.open(first bigint, n int) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT CASE s.side WHEN 'buy' THEN a ELSE 500000 END, 1, s.side, 1, 100, a
	  FROM generate_series(first, first + n - 1) a, (VALUES ('buy'), ('sell')) s(side)
$$;
CREATE PROCEDURE bench.close(first bigint, n int, at numeric) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT CASE s.side WHEN 'sell' THEN a ELSE 500000 END, 1, s.side, 1, at, 1000000 + a
	  FROM generate_series(first, first + n - 1) a, (VALUES ('buy'), ('sell')) s(side)
$$;

-- 1. Transactions of their own: two trades that close with a reset or without
-- one, and a chargeback beside a transfer, in turns

CALL bench.open(1, 4000);
VACUUM (ANALYZE) ledger.entry, ledger.balance, ledger.trade, ledger.position, ledger.account, ledger.transfer;
CREATE PROCEDURE bench.singles(n int) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz;
	spent numeric[] := '{0,0,0,0}';
	outside bigint := risk.system_account(1, 'external', 'USD');
BEGIN
	FOR i IN 1 .. 5 * n LOOP
		FOR side IN 1 .. 4 LOOP
			at := clock_timestamp();
			CASE side
				WHEN 1 THEN CALL bench.close(i, 1, 90);
				WHEN 2 THEN CALL bench.close(2000 + i, 1, 100);
				WHEN 3 THEN INSERT INTO ledger.transfer (from_account, to_account, amount, kind) VALUES (2000 + i, outside, 10, 'chargeback');
				WHEN 4 THEN INSERT INTO ledger.transfer (from_account, to_account, amount) VALUES (500000, 2000 + i, 10);
			END CASE;
			COMMIT;
			spent[side] := spent[side] + extract(epoch FROM clock_timestamp() - at);
		END LOOP;
		IF i % n = 0 THEN
			INSERT INTO bench.result VALUES
				('closing trades', 'with a reset', 1, i / n, spent[1] / n), ('closing trades', 'without', 1, i / n, spent[2] / n),
				('transfer', 'with a reset', 1, i / n, spent[3] / n), ('transfer', 'without', 1, i / n, spent[4] / n);
			spent := '{0,0,0,0}';
		END IF;
	END LOOP;
END
$$;
CALL bench.singles(400);

-- 2. Many at once: what the commit adds to the statement, and the same by hand

CREATE SCHEMA hand;
CREATE TABLE hand.shortfall (LIKE ledger.shortfall INCLUDING ALL);
CREATE TABLE hand.reset (LIKE ledger.reset INCLUDING ALL);
CREATE TABLE hand.entry (LIKE ledger.entry INCLUDING ALL);
CREATE TABLE hand.event (LIKE ledger.event INCLUDING ALL);
CREATE TABLE hand.fund_use (LIKE ledger.fund_use INCLUDING ALL);
CREATE TABLE hand.balance (LIKE ledger.balance INCLUDING ALL) WITH (fillfactor = 50);
INSERT INTO hand.balance SELECT * FROM ledger.balance;
ANALYZE hand.balance;

-- balances by their key, which the planner does not choose by itself
CREATE PROCEDURE bench.by_hand(first bigint, n int, fund bigint) LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	fund_before numeric := (SELECT sum(amount) FROM hand.balance WHERE account_id = fund);
	shortfalls bigint[];
	resets bigint[];
BEGIN
	WITH made AS (
		INSERT INTO hand.shortfall (book_id, account_id, owner_id, asset_code, amount, operational, cause, cause_kind, instrument_id, policy_code, policy_version)
		SELECT 1, a, 'owner ' || a, 'USD', 10, 0, 7000000 + a, 'trade', 1, 'default', 1 FROM generate_series(first, first + n - 1) a
		RETURNING shortfall_id)
	SELECT array_agg(shortfall_id) INTO shortfalls FROM made;
	WITH made AS (
		INSERT INTO hand.reset (book_id, shortfall_id, account_id, payer_account, cause, cause_kind, asset_code, stage, shortfall, amount,
			balance_before, balance_after, payer_before, payer_after, owner_id, policy_code, policy_version, instrument_id, mark_price, mark_age)
		SELECT 1, s, first + o - 1, fund, 7000000 + first + o - 1, 'trade', 'USD', 'fund', 10, 10, -10, 0,
			   fund_before - 10 * (o - 1), fund_before - 10 * o, 'owner ' || first + o - 1, 'default', 1, 1, 90, interval '1 second'
		  FROM unnest(shortfalls) WITH ORDINALITY AS u(s, o)
		RETURNING reset_id)
	SELECT array_agg(reset_id) INTO resets FROM made;
	INSERT INTO hand.fund_use (book_id, asset_code, day, scope, subject, amount)
	SELECT 1, 'USD', current_date, 'owner', 'owner ' || a, 10 FROM generate_series(first, first + n - 1) a
	UNION ALL SELECT 1, 'USD', current_date, 'policy', 'default', 10 * n
	ON CONFLICT (book_id, asset_code, day, scope, subject) DO UPDATE SET amount = fund_use.amount + excluded.amount;
	INSERT INTO hand.event (book_id, account_id, kind, payload)
	SELECT r.book_id, r.account_id, 'reset', jsonb_build_object('reset_id', r.reset_id, 'shortfall_id', r.shortfall_id, 'asset_code', r.asset_code,
			'amount', r.amount, 'shortfall', r.shortfall, 'stage', r.stage, 'payer_account', r.payer_account, 'payer_after', r.payer_after,
			'cause_kind', r.cause_kind, 'cause', r.cause)
	  FROM hand.reset r WHERE r.book_id = 1 AND r.reset_id = ANY (resets);
	WITH changed AS (
		UPDATE hand.balance b SET amount = b.amount + 10, seq = b.seq + 1, posted_at = greatest(clock_timestamp(), b.posted_at)
		  FROM unnest(resets) WITH ORDINALITY AS u(r, o) WHERE b.book_id = 1 AND b.slot = 0 AND b.account_id = first + u.o - 1 RETURNING b.*, u.r)
	INSERT INTO hand.entry (book_id, slot, account_id, seq, period, posted_at, effective_at, cause, amount, balance_after, kind)
	SELECT 1, 0, c.account_id, c.seq, current_date, c.posted_at, c.posted_at, c.r, 10, c.amount, 'reset' FROM changed c;
	WITH changed AS (
		UPDATE hand.balance b SET amount = b.amount - 10 * n, seq = b.seq + n, posted_at = greatest(clock_timestamp(), b.posted_at)
		 WHERE b.book_id = 1 AND b.slot = 0 AND b.account_id = fund RETURNING b.*)
	INSERT INTO hand.entry (book_id, slot, account_id, seq, period, posted_at, effective_at, cause, amount, balance_after, kind)
	SELECT 1, 0, c.account_id, c.seq - n + u.o, current_date, c.posted_at, c.posted_at, u.r, -10, c.amount + 10 * (n - u.o), 'reset'
	  FROM changed c, unnest(resets) WITH ORDINALITY AS u(r, o);
END
$$;
CREATE PROCEDURE bench.many(first bigint, n int, round int) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz;
	fund bigint := risk.system_account(1, 'insurance_fund', 'USD');
BEGIN
	CALL bench.open(first, n);
	COMMIT;
	at := clock_timestamp();
	CALL bench.close(first, n, 90);
	INSERT INTO bench.result VALUES ('many', 'the statement itself', n, round, extract(epoch FROM clock_timestamp() - at));
	at := clock_timestamp();
	SET CONSTRAINTS ALL IMMEDIATE;
	INSERT INTO bench.result VALUES ('many', 'risk_ext', n, round, extract(epoch FROM clock_timestamp() - at));
	COMMIT;
	at := clock_timestamp();
	CALL bench.by_hand(first, n, fund);
	INSERT INTO bench.result VALUES ('many', 'by hand', n, round, extract(epoch FROM clock_timestamp() - at));
	COMMIT;
END
$$;
CALL bench.many(10000, 10000, 1);
CALL bench.many(100000, 100000, 1);
CALL bench.many(20000, 10000, 2);
CALL bench.many(30000, 10000, 3);
CALL bench.many(200000, 100000, 2);
CALL bench.many(40000, 10000, 4);
CALL bench.many(50000, 10000, 5);
CALL bench.many(300000, 100000, 3);
\o

\echo Seconds, medians of the rounds.
SELECT what, side, size, round((percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::numeric, CASE WHEN size = 1 THEN 6 ELSE 3 END) AS seconds
  FROM bench.result GROUP BY what, side, size ORDER BY what, size, side;
WITH median AS (
	SELECT what, side, size, (percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::numeric AS seconds FROM bench.result GROUP BY what, side, size)
SELECT g.what, round(a.seconds / b.seconds, 2) AS measured, '<= ' || g.goal AS goal, CASE WHEN a.seconds <= g.goal * b.seconds THEN 'met' ELSE 'missed' END AS verdict
  FROM (VALUES ('closing trades, with a reset : without', 'closing trades', 'with a reset', 1, 'without', 1, 3),
			   ('transfer, with a reset : without', 'transfer', 'with a reset', 1, 'without', 1, 3),
			   ('10,000 resets, risk_ext : by hand', 'many', 'risk_ext', 10000, 'by hand', 10000, 3),
			   ('100,000 resets, risk_ext : by hand', 'many', 'risk_ext', 100000, 'by hand', 100000, 3),
			   ('100,000 resets : 10,000', 'many', 'risk_ext', 100000, 'risk_ext', 10000, 12)) AS g(what, section, side, size, other, other_size, goal)
  JOIN median a ON a.what = g.section AND a.side = g.side AND a.size = g.size
  JOIN median b ON b.what = g.section AND b.side = g.other AND b.size = g.other_size;
SELECT count(*) AS violations FROM risk.verify() WHERE violations > 0;
