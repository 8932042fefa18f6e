-- sweep.sql
--		What a tick costs: `make bench-sweep` runs it on a cluster of its own.
--
-- accounts (variable) traders; half have one position, half three, in 20
-- instruments, long and short, at leverages from 3 to 50.  A tick moves the mark
-- of one instrument and sweeps it.  recompute: the plain SQL that looks at
-- everybody, with one tier, no fee and no group, which is all that is asked for
-- here; it has to find the same accounts.

\set ON_ERROR_STOP 1
\set QUIET 1
SET client_min_messages = warning;
\pset footer off
\o /dev/null
CREATE EXTENSION risk_ext;
SELECT risk.install();
INSERT INTO ledger.asset VALUES ('USD', 2);
INSERT INTO ledger.policy (policy_code, stages, liquidation_trigger, surplus_to) VALUES ('bench', '{own,fund,house}', 'below', 'fund');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) SELECT i, 'I' || i, 'USD' FROM generate_series(1, 24) i;
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) SELECT i, 0.005, 100 FROM generate_series(1, 24) i;
INSERT INTO ledger.mark_price (instrument_id, price) SELECT i, 100 FROM generate_series(1, 24) i;
SELECT risk.system_account(1, 'external', 'USD') AS outside, risk.system_account(1, 'liquidity', 'USD') AS liquidity,
	   risk.system_account(1, 'insurance_fund', 'USD') AS fund, 100000000 AS maker \gset
INSERT INTO ledger.account (account_id, asset_code, owner_id, policy_code)
SELECT a, 'USD', 'owner ' || a, 'bench' FROM generate_series(1, :accounts + 4000) a UNION ALL SELECT :maker, 'USD', 'maker', 'bench';
INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
SELECT :outside, a, amount, 'deposit' FROM (VALUES (:maker, 1e12), (:liquidity, 1e9), (:fund, 1e9)) v(a, amount);

CREATE SCHEMA bench;
CREATE TABLE bench.result (what text, side text, round int, seconds numeric, found bigint);
-- 10 contracts of 100 each; margin for a leverage that goes by the number of the account
CREATE PROCEDURE bench.open(first bigint, last bigint, maker bigint, outside bigint) LANGUAGE sql AS $$
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	SELECT outside, a, round((CASE WHEN a % 2 = 0 THEN 1 ELSE 3 END) * 1000 / (3 + a % 48)::numeric, 2), 'deposit' FROM generate_series(first, last) a;
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT CASE s.trader WHEN true THEN a ELSE maker END, 1 + (a * 7 + n * 3) % 20,
		   CASE WHEN (a % 4 < 2) = s.trader THEN 'buy' ELSE 'sell' END, 10, 100, a * 3 + n
	  FROM generate_series(first, last) a, generate_series(0, 2) n, (VALUES (true), (false)) s(trader)
	 WHERE n = 0 OR a % 2 = 1
$$;
SELECT format('CALL bench.open(%s, %s, %s, %s)', a, least(a + 4999, :accounts), :maker, :outside) FROM generate_series(1, :accounts, 5000) a \gexec

-- 1. Ticks in which nothing is to be done, up and down in turns

VACUUM (ANALYZE) ledger.entry, ledger.balance, ledger.position, ledger.account, ledger.trade;
CREATE FUNCTION bench.recompute() RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM (
		SELECT FROM ledger.position p
		  JOIN ledger.mark_price m ON m.instrument_id = p.instrument_id
		  JOIN ledger.balance b ON b.book_id = p.book_id AND b.slot = 0 AND b.account_id = p.account_id
		 WHERE p.qty <> 0 AND p.account_id > 0
		 GROUP BY p.book_id, p.account_id, b.amount
		HAVING b.amount + sum(p.qty * m.price - p.cost) < sum(abs(p.qty) * m.price * 0.005)) f
$$;
CREATE PROCEDURE bench.ticks(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz;
	n bigint;
	points int;
BEGIN
	-- the first recomputation after a load sets hint bits
	PERFORM bench.recompute();
	FOR round IN 1 .. rounds LOOP
		FOREACH points IN ARRAY ARRAY[1, 5, 10] LOOP
			FOR i IN 1 .. 20 LOOP
				at := clock_timestamp();
				UPDATE ledger.mark_price SET price = round(100 * (1 + points / 10000.0 * (1 - 2 * ((round + i) % 2))), 4) WHERE instrument_id = i;
				SELECT count(*) FILTER (WHERE result IN ('closed', 'restored')) INTO n FROM risk.sweep(i);
				COMMIT;
				INSERT INTO bench.result VALUES (points || ' bp', 'sweep', round, extract(epoch FROM clock_timestamp() - at), n);
			END LOOP;
			IF round <= 5 THEN
				at := clock_timestamp();
				n := bench.recompute();
				INSERT INTO bench.result VALUES (points || ' bp', 'recompute', round, extract(epoch FROM clock_timestamp() - at), n);
			END IF;
		END LOOP;
		COMMIT;
	END LOOP;
END
$$;
SELECT n_tup_upd AS updates FROM pg_stat_user_tables WHERE relid = 'ledger.position'::regclass \gset
CALL bench.ticks(:rounds);
SELECT pg_sleep(1.1);
SELECT pg_stat_force_next_flush();
SELECT n_tup_upd - :updates AS updates FROM pg_stat_user_tables WHERE relid = 'ledger.position'::regclass \gset

-- 2. A tick that hits 1,000 accounts, each long 10 at 100 with 100: at 90 they are
-- taken over.  By one sweep; account by account, as the worker does; and the same
-- trades by hand, in one statement and one by one.

CREATE PROCEDURE bench.prepare(first bigint, instrument int, maker bigint, outside bigint) LANGUAGE sql AS $$
	INSERT INTO ledger.transfer (from_account, to_account, amount, kind)
	SELECT outside, a, 100, 'deposit' FROM generate_series(first, first + 999) a;
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT CASE s.side WHEN 'buy' THEN a ELSE maker END, instrument, s.side, 10, 100, 1000000000 + a
	  FROM generate_series(first, first + 999) a, (VALUES ('buy'), ('sell')) s(side)
$$;
SELECT format('CALL bench.prepare(%s, %s, %s, %s)', :accounts + 1 + 1000 * i, 21 + i, :maker, :outside) FROM generate_series(0, 3) i \gexec
VACUUM (ANALYZE) ledger.position, ledger.balance;
CREATE PROCEDURE bench.cascade(accounts bigint, liquidity bigint) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz := clock_timestamp();
	n bigint;
	due record;
BEGIN
	UPDATE ledger.mark_price SET price = 90.4 WHERE instrument_id = 21;
	SELECT count(*) FILTER (WHERE result = 'closed') INTO n FROM risk.sweep(21);
	COMMIT;
	INSERT INTO bench.result VALUES ('1,000 hit', 'one sweep', 1, extract(epoch FROM clock_timestamp() - at), n);

	at := clock_timestamp();
	UPDATE ledger.mark_price SET price = 90.4 WHERE instrument_id = 22;
	COMMIT;
	n := 0;
	FOR due IN SELECT * FROM risk.sweep_order(22) LOOP
		n := n + (SELECT count(*) FILTER (WHERE result = 'closed') FROM risk.sweep_account(due.book_id, due.account_id));
		COMMIT;
	END LOOP;
	INSERT INTO bench.result VALUES ('1,000 hit', 'account by account', 1, extract(epoch FROM clock_timestamp() - at), n);

	at := clock_timestamp();
	INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
	SELECT CASE s.side WHEN 'sell' THEN a ELSE liquidity END, 23, s.side, 10, 90, 2000000000 + a
	  FROM generate_series(accounts + 2001, accounts + 3000) a, (VALUES ('buy'), ('sell')) s(side);
	COMMIT;
	INSERT INTO bench.result VALUES ('1,000 hit', 'by hand, one statement', 1, extract(epoch FROM clock_timestamp() - at), 1000);

	at := clock_timestamp();
	FOR account IN accounts + 3001 .. accounts + 4000 LOOP
		INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
		VALUES (account, 24, 'sell', 10, 90, 2000000000 + account), (liquidity, 24, 'buy', 10, 90, 2000000000 + account);
		COMMIT;
	END LOOP;
	INSERT INTO bench.result VALUES ('1,000 hit', 'by hand, one by one', 1, extract(epoch FROM clock_timestamp() - at), 1000);
END
$$;
CALL bench.cascade(:accounts, :liquidity);

-- 3. What a trade costs: of an account with one position and with three, that
-- makes it larger (its trigger moves) or smaller (it may stay)

CREATE PROCEDURE bench.trades(rounds int, maker bigint) LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz;
	spent numeric;
	positions int;
	side text;
BEGIN
	FOR round IN 1 .. rounds LOOP
		FOR positions, side IN SELECT p, s FROM unnest(ARRAY[1, 3]) p, unnest(ARRAY['larger', 'smaller']) s LOOP
			spent := 0;
			FOR a IN round * 1000 + 1 .. round * 1000 + 400 LOOP
				CONTINUE WHEN (a % 2 = 1) <> (positions = 3);
				at := clock_timestamp();
				INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, execution_id)
				SELECT CASE s.trader WHEN true THEN a ELSE maker END, 1 + (a * 7) % 20,
					   CASE WHEN (a % 4 < 2) = (s.trader = (side = 'larger')) THEN 'buy' ELSE 'sell' END, 0.1, 100, 3000000000 + (round * 4 + positions) * 10000 + a + CASE side WHEN 'larger' THEN 5000 ELSE 0 END
				  FROM (VALUES (true), (false)) s(trader);
				COMMIT;
				spent := spent + extract(epoch FROM clock_timestamp() - at);
			END LOOP;
			INSERT INTO bench.result VALUES (positions || ' positions', side, round, spent / 200);
		END LOOP;
	END LOOP;
END
$$;
CALL bench.trades(5, :maker);
\o

\echo Seconds, medians.
SELECT what, side, count(*) AS times, round((percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::numeric, 6) AS seconds, sum(found) AS found
  FROM bench.result GROUP BY what, side ORDER BY what, side;
\echo Updates of positions by all quiet ticks: :updates
WITH median AS (
	SELECT what, side, (percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::numeric AS seconds FROM bench.result GROUP BY what, side)
SELECT g.what, g.side || ' : ' || g.other AS ratio, round(a.seconds / b.seconds, 5) AS measured, '<= ' || g.goal AS goal,
	   CASE WHEN a.seconds <= g.goal * b.seconds THEN 'met' ELSE 'missed' END AS verdict
  FROM (VALUES ('1 bp', 'sweep', 'recompute', 0.0005), ('5 bp', 'sweep', 'recompute', 0.002), ('10 bp', 'sweep', 'recompute', 0.01),
			   ('1,000 hit', 'one sweep', 'by hand, one statement', NULL), ('1,000 hit', 'account by account', 'by hand, one by one', NULL)) AS g(what, side, other, goal)
  JOIN median a ON a.what = g.what AND a.side = g.side
  JOIN median b ON b.what = g.what AND b.side = g.other;
SELECT count(*) AS violations FROM risk.verify() WHERE violations > 0;
