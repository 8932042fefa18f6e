-- replay.sql
--		A venue with leverage goes through real candles.
--
-- Traders open, add to, turn and close positions as a seeded generator says.
-- The mark walks through each candle: open, low and high, close, low first
-- when the candle closes at or above its open.  After each step whoever is at
-- or past the liquidation price is closed at the extreme of the candle
-- against the liquidity account, all in one statement, and what that leaves
-- below zero is reset when the transaction commits.
--
-- psql variables: candles, a file that the server can read, with the columns
-- ts_utc,open,high,low,close,volume_base; accounts (400), seed (1), and what the
-- insurance fund and the liquidity account begin with, fund (1000 for each
-- account) and liquidity (2500).

\if :{?accounts} \else \set accounts 400 \endif
\if :{?seed} \else \set seed 1 \endif
\if :{?fund} \else
SELECT 1000 * :'accounts'::int AS fund \gset
\endif
\if :{?liquidity} \else
SELECT 2500 * :'accounts'::int AS liquidity \gset
\endif
\set symbol 'COIN/USDT'
\set scale 6
\ir venue.sql

SELECT extract(epoch FROM clock_timestamp()) AS started \gset

CREATE TABLE demo.candle (
	ts_utc timestamptz PRIMARY KEY,
	open numeric NOT NULL CHECK (open > 0),
	high numeric NOT NULL CHECK (high >= open AND high >= close),
	low numeric NOT NULL CHECK (low > 0 AND low <= open AND low <= close),
	close numeric NOT NULL,
	volume_base numeric
);
COPY demo.candle FROM :'candles' (FORMAT csv, HEADER match);

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM demo.candle) THEN
		RAISE EXCEPTION 'there are no candles in the file';
	END IF;
END
$$;

-- The candles in order, each with the time to the next one.
CREATE TABLE demo.step AS
SELECT row_number() OVER in_time::int AS step, c.ts_utc, c.open, c.high, c.low, c.close,
	   coalesce(lead(c.ts_utc) OVER in_time - c.ts_utc, c.ts_utc - lag(c.ts_utc) OVER in_time,
				interval '1 minute') AS duration
  FROM demo.candle c
WINDOW in_time AS (ORDER BY c.ts_utc)
 ORDER BY c.ts_utc;
ALTER TABLE demo.step ADD PRIMARY KEY (step);

CREATE TABLE demo.trader AS
SELECT n::bigint AS account_id, demo.draw_leverage(:'seed', n) AS leverage
  FROM generate_series(1, greatest(:'accounts'::int, 2)) AS n;
ALTER TABLE demo.trader ADD PRIMARY KEY (account_id);

INSERT INTO ledger.account (account_id, asset_code, owner_id)
SELECT account_id, 'USDT', 'trader ' || account_id FROM demo.trader;

-- What traders do: three times as many decisions as traders.  A third is made
-- on the first candle, the others whenever.  Most open or add to a position
-- against another trader; every fourth closes what the trader has, with the
-- liquidity account on the other side, and takes the money out.
CREATE TABLE demo.decision AS
SELECT d.id, d.step,
	   CASE WHEN d.id % 4 = 0 AND d.step > 1 THEN 'close' ELSE 'open' END AS what,
	   1 + d.one AS account_id,
	   1 + (d.one + 1 + d.distance) % d.traders AS counterparty,
	   500 + round(49500 * d.size * d.size * d.size) AS notional
  FROM (SELECT n AS id, t.traders,
			   CASE WHEN n <= t.traders THEN 1
					ELSE 1 + floor(demo.draw(:'seed', 'time', n) * t.steps)::int END AS step,
			   floor(demo.draw(:'seed', 'trader', n) * t.traders)::bigint AS one,
			   floor(demo.draw(:'seed', 'counterparty', n) * (t.traders - 1))::bigint AS distance,
			   demo.draw(:'seed', 'size', n) AS size
		  FROM (SELECT (SELECT count(*) FROM demo.trader) AS traders,
					   (SELECT count(*) FROM demo.step) AS steps) t
		 CROSS JOIN generate_series(1, 3 * t.traders) AS n) d;
CREATE INDEX ON demo.decision (step, id);

-- Liquidation prices, read again for accounts that have traded: no tick
-- changes them, since an account has one position.
CREATE TABLE demo.watch (
	account_id bigint PRIMARY KEY,
	qty numeric NOT NULL,
	liquidation_price numeric NOT NULL
);

CREATE TABLE demo.progress (
	step int NOT NULL DEFAULT 0,
	liquidations int NOT NULL DEFAULT 0
);
INSERT INTO demo.progress DEFAULT VALUES;

CREATE PROCEDURE demo.watch_again(account_ids bigint[])
LANGUAGE sql
AS $procedure$
	DELETE FROM demo.watch WHERE account_id = ANY (account_ids);
	-- A long without a liquidation price is safe at every price, a short at none.
	INSERT INTO demo.watch (account_id, qty, liquidation_price)
	SELECT p.account_id, p.qty, coalesce(p.liquidation_price, 0)
	  FROM ledger.position_risk p
	 WHERE p.book_id = 1 AND p.account_id = ANY (account_ids)
$procedure$;

-- Moves the mark and liquidates whom it has reached: one transaction.
CREATE PROCEDURE demo.tick(price numeric, low numeric, high numeric, at timestamptz)
LANGUAGE plpgsql
AS $procedure$
DECLARE
	moved text;
	liquidated bigint[];
BEGIN
	SELECT s.result INTO moved FROM risk.set_mark_prices(ARRAY[1], ARRAY[price], at) s;
	IF moved <> 'moved' THEN
		RAISE EXCEPTION 'mark price % of % was not taken: %', price, at, moved;
	END IF;

	SELECT array_agg(w.account_id ORDER BY w.account_id) INTO liquidated
	  FROM demo.watch w
	 WHERE CASE WHEN w.qty > 0 THEN price <= w.liquidation_price ELSE price >= w.liquidation_price END;
	IF liquidated IS NOT NULL THEN
		-- the liquidation fee: 0.5 %, cut as far as it cannot be paid
		INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, fee, kind, executed_at, execution_id)
		SELECT s.account_id, 1, CASE WHEN s.qty > 0 THEN 'sell' ELSE 'buy' END, abs(s.qty), e.price,
			   CASE WHEN s.account_id > 0 THEN round(abs(s.qty) * e.price * 0.005, 6) ELSE 0 END,
			   'liquidation', at, e.execution_id
		  FROM (SELECT w.account_id, w.qty, CASE WHEN w.qty > 0 THEN low ELSE high END AS price,
					   nextval('ledger.trade_execution_id_seq') AS execution_id
				  FROM demo.watch w
				 WHERE w.account_id = ANY (liquidated)
				OFFSET 0) e
		 CROSS JOIN LATERAL (VALUES (e.account_id, e.qty),
									(risk.system_account(1, 'liquidity', 'USDT'), -e.qty)) AS s(account_id, qty)
		 ORDER BY e.execution_id, s.account_id DESC;
		DELETE FROM demo.watch w WHERE w.account_id = ANY (liquidated);
		UPDATE demo.progress SET liquidations = liquidations + cardinality(liquidated);
	END IF;
	COMMIT;
END
$procedure$;

-- Carries out a decision at a price: one transaction.
CREATE PROCEDURE demo.decide(decision demo.decision, price numeric, at timestamptz)
LANGUAGE plpgsql
AS $procedure$
DECLARE
	liquidity bigint := risk.system_account(1, 'liquidity', 'USDT');
	external bigint := risk.system_account(1, 'external', 'USDT');
	size numeric := round(decision.notional / price, 4);
	free numeric;
BEGIN
	IF decision.what = 'close' THEN
		INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, fee, executed_at, execution_id)
		SELECT s.account_id, 1, CASE WHEN s.qty > 0 THEN 'sell' ELSE 'buy' END, abs(s.qty), decide.price,
			   CASE WHEN s.account_id > 0 THEN round(abs(s.qty) * decide.price * 0.0004, 6) ELSE 0 END,
			   at, p.execution_id
		  FROM (SELECT w.account_id, w.qty, nextval('ledger.trade_execution_id_seq') AS execution_id
				  FROM demo.watch w
				 WHERE w.account_id = decision.account_id
				OFFSET 0) p
		 CROSS JOIN LATERAL (VALUES (p.account_id, p.qty), (liquidity, -p.qty)) AS s(account_id, qty)
		 ORDER BY s.account_id DESC;
		IF FOUND THEN
			SELECT r.withdrawable INTO free FROM ledger.account_risk r
			 WHERE r.book_id = 1 AND r.account_id = decision.account_id;
			IF free > 0 THEN
				PERFORM risk.withdraw(decision.account_id, free);
			END IF;
		END IF;
	ELSE
		-- each brings the margin of its own leverage, and the fee
		INSERT INTO ledger.transfer (from_account, to_account, amount, kind, effective_at)
		SELECT external, t.account_id, ceil(size * price * (1.0 / t.leverage + 0.0004)), 'deposit', at
		  FROM demo.trader t
		 WHERE t.account_id IN (decision.account_id, decision.counterparty)
		 ORDER BY t.account_id;
		INSERT INTO ledger.trade (account_id, instrument_id, side, qty, price, fee, executed_at, execution_id)
		SELECT s.account_id, 1, s.side, size, decide.price, round(size * decide.price * 0.0004, 6), at, e.id
		  FROM nextval('ledger.trade_execution_id_seq') AS e(id)
		 CROSS JOIN (VALUES (decision.account_id, 'buy'), (decision.counterparty, 'sell')) AS s(account_id, side);
	END IF;
	CALL demo.watch_again(ARRAY[decision.account_id, decision.counterparty]);
	COMMIT;
END
$procedure$;

-- One candle after another up to a step; returns a line of the report.
CREATE PROCEDURE demo.replay(up_to int, OUT line text)
LANGUAGE plpgsql
AS $procedure$
DECLARE
	c demo.step;
	d demo.decision;
	first_extreme numeric;
	second_extreme numeric;
BEGIN
	FOR c IN
		SELECT s.* FROM demo.step s, demo.progress p
		 WHERE s.step > p.step AND s.step <= up_to
		 ORDER BY s.step
	LOOP
		first_extreme := CASE WHEN c.close >= c.open THEN c.low ELSE c.high END;
		second_extreme := CASE WHEN c.close >= c.open THEN c.high ELSE c.low END;
		CALL demo.tick(c.open, c.low, c.high, c.ts_utc);
		FOR d IN SELECT * FROM demo.decision x WHERE x.step = c.step ORDER BY x.id LOOP
			CALL demo.decide(d, c.open, c.ts_utc);
		END LOOP;
		CALL demo.tick(first_extreme, c.low, c.high, c.ts_utc + c.duration * 0.25);
		CALL demo.tick(second_extreme, c.low, c.high, c.ts_utc + c.duration * 0.5);
		CALL demo.tick(c.close, c.low, c.high, c.ts_utc + c.duration * 0.75);
	END LOOP;
	UPDATE demo.progress p SET step = up_to;
	COMMIT;

	SELECT format('%s %s %s %s %s %s %s',
				  to_char(c.ts_utc AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
				  lpad(trim_scale(c.close)::text, 10),
				  lpad((SELECT count(*) FROM demo.watch)::text, 6),
				  lpad(p.liquidations::text, 13),
				  lpad((SELECT count(*) FROM ledger.reset)::text, 7),
				  lpad(round(f.balance, 2)::text, 12),
				  lpad(round(coalesce(h.paid, 0), 2)::text, 14))
	  INTO line
	  FROM demo.progress p, ledger.fund_status f,
		   (SELECT sum(r.amount) AS paid FROM ledger.reset r WHERE r.stage = 'house') h;
END
$procedure$;

\echo '== Replay: UTC, and what there is at that time'
\echo 'time              price        open  liquidations  resets         fund     house paid'
\pset tuples_only on
\pset format unaligned
SELECT format('CALL demo.replay(%s, NULL)', max(s.step))
  FROM demo.step s
 GROUP BY CASE WHEN s.step = 1 THEN 0 ELSE ceil(s.step * 20.0 / (SELECT max(step) FROM demo.step)) END
 ORDER BY max(s.step)
\gexec
\pset format aligned
\pset tuples_only off
SELECT round(extract(epoch FROM clock_timestamp()) - :started, 1) AS seconds \gset

\echo
\echo '== The figures'
SELECT (SELECT count(*) FROM demo.step) AS candles,
	   (SELECT count(*) FROM ledger.mark_price_history) AS marks,
	   (SELECT count(*) FROM demo.trader) AS accounts,
	   (SELECT count(*) FROM ledger.trade) AS trades,
	   (SELECT count(*) FROM ledger.trade WHERE kind = 'liquidation' AND account_id > 0) AS liquidations,
	   count(*) AS resets,
	   count(DISTINCT r.account_id) AS "of accounts",
	   :seconds AS seconds
  FROM ledger.reset r;

\echo '== Who paid for the resets'
SELECT r.stage AS "paid by", CASE WHEN r.account_id > 0 THEN 'traders' ELSE 'liquidity account' END AS "for",
	   count(*) AS resets, round(sum(r.amount), 2) AS paid, round(max(r.amount), 2) AS largest
  FROM ledger.reset r
 GROUP BY 1, 2
 ORDER BY 1, 2 DESC;

\echo '== The five largest: who, which trade at which price, what was missing, who paid, what was left in the fund'
SELECT coalesce(a.owner_id, a.kind || ' account') AS owner, t.leverage || 'x' AS leverage,
	   r.cause_kind || ' ' || r.cause AS cause, trim_scale(x.price) AS price, round(s.shortfall, 2) AS missing,
	   round(s.fund, 2) AS "fund paid", round(s.house, 2) AS "house paid", round(s.fund_after, 2) AS "left in the fund"
  FROM (SELECT r.book_id, r.account_id, r.cause_kind, r.cause FROM ledger.reset r GROUP BY 1, 2, 3, 4) r
 CROSS JOIN LATERAL (
	SELECT max(y.shortfall) AS shortfall, coalesce(sum(y.amount) FILTER (WHERE y.stage = 'fund'), 0) AS fund,
		   coalesce(sum(y.amount) FILTER (WHERE y.stage = 'house'), 0) AS house,
		   coalesce(min(y.payer_after) FILTER (WHERE y.stage = 'fund'), 0) AS fund_after
	  FROM ledger.reset y
	 WHERE y.book_id = r.book_id AND y.account_id = r.account_id AND y.cause_kind = r.cause_kind AND y.cause = r.cause) s
  JOIN ledger.account a ON a.book_id = r.book_id AND a.account_id = r.account_id
  LEFT JOIN demo.trader t ON t.account_id = r.account_id
  LEFT JOIN ledger.trade x ON r.cause_kind = 'trade' AND x.book_id = r.book_id AND x.trade_id = r.cause
 ORDER BY s.shortfall DESC, r.account_id
 LIMIT 5;

\ir proof.sql
