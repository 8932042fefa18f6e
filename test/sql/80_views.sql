-- Position and account risk, with figures calculated by hand.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier)
VALUES (8001, 'BTC/USDT 80', 'USDT', 1), (8002, 'ETH/USDT 80', 'USDT', 1), (8003, 'SOL/USDT 80', 'USDT', 0.01), (8004, 'no tier 80', 'USDT', 1);
-- up to 10,000: 1 % and 50x; above: 2 % and 20x
INSERT INTO ledger.margin_tier VALUES (8001, 0, 0.01, 50), (8001, 10000, 0.02, 20), (8002, 0, 0.05, 10), (8003, 0, 0.01, 50);
SELECT risk.create_book(80, 'views');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
SELECT 80, n, 'USDT', owner FROM unnest(ARRAY['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'gina', 'maker']) WITH ORDINALITY AS u(owner, n);
CREATE PROCEDURE pg_temp.open(account bigint, deposit numeric, instrument int, qty numeric, price numeric) LANGUAGE sql AS $$
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
	SELECT 80, risk.system_account(80, 'external', 'USDT'), account, deposit, 'deposit' WHERE deposit > 0;
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	SELECT 80, s.id, instrument, CASE WHEN (qty > 0) = (s.id = account) THEN 'buy' ELSE 'sell' END, abs(qty), price,
		   account * 1000 + instrument
	  FROM (VALUES (account), (8)) AS s(id)
$$;
CREATE TEMP VIEW position_figures AS
SELECT r.account_id, a.owner_id, r.instrument_id, r.qty, r.entry_price, r.mark_price,
	   trim_scale(r.unrealized_pnl) AS pnl, trim_scale(r.notional) AS notional, trim_scale(r.maintenance_margin) AS maintenance,
	   trim_scale(r.initial_margin) AS initial, trim_scale(round(r.liquidation_price, 6)) AS liquidation,
	   trim_scale(round(r.bankruptcy_price, 6)) AS bankruptcy, trim_scale(round(r.distance_percent, 6)) AS distance
  FROM ledger.position_risk r JOIN ledger.account a USING (book_id, account_id)
 WHERE r.book_id = 80 AND r.account_id BETWEEN 1 AND 7 ORDER BY r.account_id, r.instrument_id;
CREATE TEMP VIEW account_figures AS
SELECT account_id, owner_id, trim_scale(balance) AS balance, trim_scale(unrealized_pnl) AS pnl, trim_scale(equity) AS equity,
	   trim_scale(initial_margin) AS initial, trim_scale(maintenance_margin) AS maintenance, trim_scale(free_collateral) AS free,
	   trim_scale(withdrawable) AS withdrawable, trim_scale(notional) AS notional, trim_scale(round(margin_level, 4)) AS level,
	   trim_scale(round(margin_ratio, 4)) AS ratio, trim_scale(round(risk_ratio, 4)) AS risk, trim_scale(round(leverage, 4)) AS leverage
  FROM ledger.account_risk WHERE book_id = 80 AND account_id BETWEEN 1 AND 7 ORDER BY account_id;

-- 1. Limits: the deduction makes each rate hold for its own stretch:
-- 10,000 * (0.02 - 0.01) = 100

SELECT instrument_id, notional_floor, notional_cap, maintenance_rate, trim_scale(maintenance_deduction) AS deduction, max_leverage
  FROM ledger.risk_limit WHERE instrument_id BETWEEN 8001 AND 8099 ORDER BY instrument_id, notional_floor;

-- 2. The first tier.  Long 50 at 100, deposit 500, mark 98: profit -100,
-- equity 400, notional 4,900, maintenance 49, initial 4,900 / 50 = 98.
-- Liquidation: 500 + 50 (P - 100) = 0.01 * 50 P, 49.5 P = 4,500, P = 90.909091;
-- bankruptcy: 50 (100 - P) = 500, P = 90; distance (98 - 90.909091) / 98 = 7.235622 %.
-- Short of as much: profit 100, equity 600; 500 + 50 (100 - P) = 0.5 P, P =
-- 5,500 / 50.5 = 108.910891; bankruptcy 110.

INSERT INTO ledger.mark_price VALUES (8001, 98);
CALL pg_temp.open(1, 500, 8001, 50, 100);
CALL pg_temp.open(2, 500, 8001, -50, 100);
SELECT * FROM position_figures WHERE account_id IN (1, 2);
-- alice: level 400 / 49, ratio 400 / 4,900, risk 49 / 400, leverage 4,900 / 400;
-- to spare 500 - 100 - 98 = 302.  bob: profit is not paid out: 500 - 98 = 402
SELECT * FROM account_figures WHERE account_id IN (1, 2);

-- 3. The tier that holds at the liquidation price.  Short 90 at 100, deposit
-- 1,500, mark 98: notional 8,820 in the first tier, maintenance 88.20.  At the
-- liquidation price it is in the second: 1,500 + 90 (100 - P) = 1.8 P - 100,
-- 91.8 P = 10,600, P = 115.468410 (notional 10,392).
-- Long 110 at 100, deposit 1,500, mark 98: notional 10,780 in the second,
-- maintenance 215.60 - 100 = 115.60, initial 10,780 / 20 = 539.  At the
-- liquidation price it is in the first: 1,500 + 110 (P - 100) = 1.1 P,
-- 108.9 P = 9,500, P = 87.235996 (notional 9,596).

CALL pg_temp.open(3, 1500, 8001, -90, 100);
CALL pg_temp.open(4, 1500, 8001, 110, 100);
SELECT * FROM position_figures WHERE account_id IN (3, 4);
-- a tier ends with its cap: at 10,000 exactly the first holds, initial 200
BEGIN;
CALL pg_temp.open(7, 1500, 8001, 100, 100);
UPDATE ledger.mark_price SET price = 100 WHERE instrument_id = 8001;
SELECT * FROM position_figures WHERE account_id = 7;
UPDATE ledger.mark_price SET price = 100.01 WHERE instrument_id = 8001;
SELECT * FROM position_figures WHERE account_id = 7;
ROLLBACK;

-- 4. Cross margin: long 50 of one at 100, short 10 of another at 200, deposit
-- 1,000; marks 98 and 210.  Profits -100 and -100, equity 800; notional 4,900
-- and 2,100; maintenance 49 and 105, together 154; initial 98 and 210.
-- Liquidation of the first: 1,000 - 100 - 105 + 50 (P - 100) = 0.5 P,
-- 49.5 P = 4,205, P = 84.949495; of the second: 1,000 - 100 - 49 + 10 (200 - P)
-- = 0.5 P, 10.5 P = 2,851, P = 271.523810.
-- Bankruptcy shares 800 by maintenance: 800 * 49 / 154 = 254.545... and
-- 545.454...; the first may lose 354.54 from its cost on: 100 - 7.0908 = 92.9092,
-- the second 645.45: 200 + 64.545 = 264.545.

INSERT INTO ledger.mark_price VALUES (8002, 210);
CALL pg_temp.open(5, 1000, 8001, 50, 100);
CALL pg_temp.open(5, 0, 8002, -10, 200);
SELECT * FROM position_figures WHERE account_id = 5;
SELECT * FROM account_figures WHERE account_id = 5;
-- at the liquidation price the level is 100 %, and closed at both bankruptcy
-- prices nothing is missing
BEGIN;
UPDATE ledger.mark_price SET price = (SELECT round(liquidation_price, 18) FROM ledger.position_risk WHERE book_id = 80 AND account_id = 5 AND instrument_id = 8002)
 WHERE instrument_id = 8002;
SELECT level FROM account_figures WHERE account_id = 5;
ROLLBACK;
BEGIN;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
SELECT 80, s.id, p.instrument_id, CASE WHEN (p.qty > 0) = (s.id = 5) THEN 'sell' ELSE 'buy' END, abs(p.qty), p.bankruptcy_price, 80900 + p.instrument_id
  FROM ledger.position_risk p, (VALUES (5), (8)) AS s(id) WHERE p.book_id = 80 AND p.account_id = 5;
SELECT balance FROM account_figures WHERE account_id = 5;
COMMIT;
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 80;

-- 5. Settled profit: long 1 at 100 won 60 at 160, of which 30 were taken to pay
-- for a loss.  The entry moves to 130, the equity stays.

INSERT INTO ledger.mark_price VALUES (8004, 160);
CALL pg_temp.open(6, 0, 8004, 1, 100);
SELECT pnl, entry_price, notional, maintenance, initial, liquidation, bankruptcy FROM position_figures WHERE account_id = 6;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (80, 6, risk.system_account(80, 'external', 'USDT'), 30, 'chargeback');
-- no tier: no maintenance, leverage 1; liquidated where nothing is left, at 130
SELECT pnl, entry_price, notional, maintenance, initial, liquidation, bankruptcy FROM position_figures WHERE account_id = 6;
SELECT * FROM account_figures WHERE account_id = 6;

-- 6. No mark: what depends on it is NULL; the account counts the position at its
-- cost: 1,000 contracts of 0.01 at 20 are 200

CALL pg_temp.open(7, 100, 8003, 1000, 20);
SELECT * FROM position_figures WHERE account_id = 7;
SELECT * FROM account_figures WHERE account_id = 7;
-- mark 21: 1,000 * 0.01 * 21 = 210, profit 10; 100 + 10 (P - 20) = 0.1 P, 9.9 P = 100
INSERT INTO ledger.mark_price VALUES (8003, 21);
SELECT * FROM position_figures WHERE account_id = 7;
SELECT * FROM account_figures WHERE account_id = 7;

-- 7. Without a position, below zero, frozen

UPDATE ledger.account SET status = 'frozen' WHERE book_id = 80 AND account_id = 7;
UPDATE ledger.mark_price SET price = 9 WHERE instrument_id = 8003;
SELECT * FROM account_figures WHERE account_id IN (5, 7);
SELECT status, liquidation_price > mark_price AS passed, distance_percent < 0 AS below
  FROM ledger.position_risk JOIN ledger.account USING (book_id, account_id) WHERE book_id = 80 AND account_id = 7;

-- 8. The columns tell what posting does: withdrawable is the most that goes out

DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT account_id, withdrawable FROM ledger.account_risk WHERE book_id = 80 AND account_id BETWEEN 1 AND 7 ORDER BY account_id LOOP
		BEGIN
			PERFORM risk.withdraw(r.account_id, trunc(r.withdrawable, 2) + 0.01, 80);
			RAISE WARNING 'account %: more than % was withdrawn', r.account_id, r.withdrawable;
		EXCEPTION WHEN check_violation OR object_not_in_prerequisite_state THEN
			NULL;
		END;
		IF r.withdrawable >= 0.01 THEN
			PERFORM risk.withdraw(r.account_id, trunc(r.withdrawable, 2), 80);
		END IF;
	END LOOP;
END
$$;
SELECT account_id, trim_scale(withdrawable) AS withdrawable FROM ledger.account_risk WHERE book_id = 80 AND account_id BETWEEN 1 AND 7 ORDER BY account_id;

-- 9. The fund

INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
VALUES (80, risk.system_account(80, 'external', 'USDT'), risk.system_account(80, 'insurance_fund', 'USDT'), 70);
SELECT balance, resets, paid, last_paid_at FROM ledger.fund_status WHERE book_id = 80 AND asset_code = 'USDT';

SELECT * FROM risk.verify() WHERE violations > 0;
