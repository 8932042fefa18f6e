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

-- 10. The requirement by policy.  The example: size 10,000 at 25,000, balance
-- 1,500, maintenance 500 as an amount: liquidated at 22,500, a short at 27,500.

INSERT INTO ledger.instrument (instrument_id, symbol, kind, settle_asset, multiplier, reference_notional)
VALUES (8005, 'amount 80', 'linear', 'USDT', 1, NULL), (8006, 'one percent 80', 'linear', 'USDT', 1, NULL),
	   (8007, 'five percent 80', 'linear', 'USDT', 1, 5000), (8008, 'BTC/USD 80', 'inverse', 'BTC', 100, NULL);
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage, maintenance_amount)
VALUES (8005, 0, 10, 500), (8006, 0.01, 50, 0), (8007, 0.05, 10, 0), (8008, 0.05, 10, 0);
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage, maintenance_amount) VALUES (8005, 20000, 0, 10, 1500);
INSERT INTO ledger.mark_price VALUES (8005, 25000), (8006, 98), (8007, 25000), (8008, 50000);
INSERT INTO ledger.policy (policy_code, stages, maintenance_basis) VALUES ('amount_80', '{own,house}', 'amount');
INSERT INTO ledger.policy (policy_code, stages, liquidation_fee_base) VALUES ('fee_80', '{own,house}', 0.01);
INSERT INTO ledger.policy (policy_code, stages, maintenance_basis, liquidation_fee_base, liquidation_fee_by_size, liquidation_fee_by_volatility, liquidation_fee_by_depth)
VALUES ('entry_80', '{own,house}', 'entry', 0.01, 0.002, 0.004, 0.006);
INSERT INTO ledger.account (book_id, account_id, asset_code, policy_code)
VALUES (80, 11, 'USDT', 'amount_80'), (80, 12, 'USDT', 'amount_80'), (80, 13, 'USDT', 'amount_80'), (80, 14, 'USDT', 'fee_80'),
	   (80, 15, 'USDT', 'entry_80'), (80, 16, 'USDT', 'entry_80'), (80, 17, 'BTC', 'entry_80'), (80, 18, 'BTC', 'electra');
CREATE TEMP VIEW requirement_figures AS
SELECT account_id, instrument_id, trim_scale(maintenance_margin) AS maintenance, trim_scale(liquidation_fee_rate) AS fee_rate,
	   trim_scale(liquidation_fee) AS fee, trim_scale(liquidation_requirement) AS requirement,
	   trim_scale(round(liquidation_price, 6)) AS liquidation, trim_scale(round(bankruptcy_price, 6)) AS bankruptcy
  FROM ledger.position_risk WHERE book_id = 80 AND account_id BETWEEN 11 AND 17 ORDER BY account_id, instrument_id;
CREATE TEMP VIEW level_figures AS
SELECT account_id, trim_scale(equity) AS equity, trim_scale(maintenance_margin) AS maintenance, trim_scale(liquidation_fee) AS fee,
	   trim_scale(liquidation_requirement) AS requirement, round(margin_level, 4) AS level, round(risk_ratio, 4) AS risk, liquidatable
  FROM ledger.account_risk WHERE book_id = 80 AND account_id BETWEEN 11 AND 17 ORDER BY account_id;

CALL pg_temp.open(11, 1500, 8005, 0.4, 25000);
CALL pg_temp.open(12, 1500, 8005, -0.4, 25000);
-- 25,000 are in the second tier, whose amount is 1,500: (5,000 - 1,500) / 1 below
CALL pg_temp.open(13, 5000, 8005, 1, 25000);
SELECT * FROM requirement_figures WHERE account_id <= 13;
-- the amount stays when the mark moves, also beyond a floor
UPDATE ledger.mark_price SET price = 22500 WHERE instrument_id = 8005;
SELECT * FROM requirement_figures WHERE account_id <= 13;
-- at the requirement exactly: not below it; but the highest version is in force
SELECT * FROM level_figures WHERE account_id = 11;
INSERT INTO ledger.policy (policy_code, version, stages, maintenance_basis, liquidation_trigger) VALUES ('amount_80', 2, '{own,house}', 'amount', 'at_or_below');
SELECT * FROM level_figures WHERE account_id = 11;

-- A fee of 1 %, cross: long 50 at 100, short 0.2 at 25,000, deposit 1,500, marks
-- 98 and 26,000: profits -100 and -200, equity 1,200.  Maintenance 49 and 260,
-- fees 49 and 52.  Liquidation of the first: 1,500 - 200 - 312 + 50 (P - 100)
-- = 0.5 P + 0.5 P, 49 P = 4,012; of the second: 1,500 - 100 - 98 +
-- 0.2 (25,000 - P) = 0.01 P + 0.002 P, 0.212 P = 6,302.  Bankruptcy by
-- maintenance: 1,200 * 49 / 309 and 1,200 * 260 / 309, less 100 and 200 to lose
-- from the mark on: 100 - 290.29 / 50 and 25,000 + 1,209.7 / 0.2.

UPDATE ledger.mark_price SET price = 26000 WHERE instrument_id = 8007;
CALL pg_temp.open(14, 1500, 8006, 50, 100);
CALL pg_temp.open(14, 0, 8007, -0.2, 25000);
SELECT * FROM requirement_figures WHERE account_id = 14;
SELECT * FROM level_figures WHERE account_id = 14;
BEGIN;
UPDATE ledger.mark_price SET price = (SELECT round(liquidation_price, 18) FROM ledger.position_risk WHERE book_id = 80 AND account_id = 14 AND instrument_id = 8007)
 WHERE instrument_id = 8007;
SELECT account_id, round(level, 4) AS level FROM level_figures WHERE account_id = 14;
ROLLBACK;

-- At entry, with a fee by size: 10,000 need 500, and 0.01 + 0.002 ln 3 =
-- 0.01219723 of the notional.  Long: 0.4 P - 8,500 = 500 + 0.4 P * 0.01219723,
-- P = 22,500 / 0.98780277; short: 27,500 / 1.01219723.

UPDATE ledger.mark_price SET price = 25000 WHERE instrument_id = 8007;
CALL pg_temp.open(15, 1500, 8007, 0.4, 25000);
CALL pg_temp.open(16, 1500, 8007, -0.4, 25000);
SELECT * FROM requirement_figures WHERE account_id IN (15, 16);
-- neither the maintenance nor the rate moves with the mark, so that at the
-- liquidation price the level is 100 %
UPDATE ledger.mark_price SET price = (SELECT round(liquidation_price, 18) FROM ledger.position_risk WHERE book_id = 80 AND account_id = 15)
 WHERE instrument_id = 8007;
SELECT fee_rate, maintenance FROM requirement_figures WHERE account_id IN (15, 16);
SELECT account_id, level, risk FROM level_figures WHERE account_id = 15;
UPDATE ledger.mark_price SET price = (SELECT round(liquidation_price, 18) FROM ledger.position_risk WHERE book_id = 80 AND account_id = 16)
 WHERE instrument_id = 8007;
SELECT account_id, level, risk FROM level_figures WHERE account_id = 16;

-- A scale of 1.5, from the next mark on, adds 0.002 and makes the maintenance
-- 750; half of the depth adds 0.003, at once: 0.01719723
BEGIN;
INSERT INTO ledger.margin_scale (instrument_id, scale) VALUES (8007, 1.5);
UPDATE ledger.instrument SET depth_ratio = 0.5 WHERE instrument_id = 8007;
SELECT account_id, fee_rate, maintenance FROM requirement_figures WHERE account_id = 15;
UPDATE ledger.mark_price SET price = 25000, observed_at = clock_timestamp() WHERE instrument_id = 8007;
SELECT account_id, fee_rate, maintenance, fee, requirement FROM requirement_figures WHERE account_id = 15;
ROLLBACK;

-- Inverse: 60 contracts of 100 long from 50,000 with 0.05.  At entry 0.12, so
-- 0.006; without a reference for the size 1 %: 0.0012.  0.05 + 0.12 - 6,000 / P
-- = 0.006 + 60 / P, P = 6,060 / 0.164.
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT 80, risk.system_account(80, 'external', 'BTC'), n, 0.05, 'deposit' FROM unnest(ARRAY[17, 18]) AS n;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (80, 17, 8008, 'buy', 60, 50000, 801708), (80, 18, 8008, 'sell', 60, 50000, 801708);
SELECT * FROM requirement_figures WHERE account_id = 17;
UPDATE ledger.mark_price SET price = (SELECT round(liquidation_price, 18) FROM ledger.position_risk WHERE book_id = 80 AND account_id = 17)
 WHERE instrument_id = 8008;
SELECT account_id, level FROM level_figures WHERE account_id = 17;

-- Without a position nothing is liquidated, whatever the trigger.
SELECT count(*) > 0 AS some, bool_or(liquidatable) AS liquidatable FROM ledger.account_risk WHERE book_id = 80 AND notional = 0;

-- What a policy may not say
\set VERBOSITY terse
INSERT INTO ledger.policy (policy_code, stages, maintenance_basis) VALUES ('x_80', '{own,house}', 'last');
INSERT INTO ledger.policy (policy_code, stages, liquidation_trigger) VALUES ('x_80', '{own,house}', 'above');
INSERT INTO ledger.policy (policy_code, stages, liquidation_fee_minimum) VALUES ('x_80', '{own,house}', 0.03);
INSERT INTO ledger.policy (policy_code, stages, liquidation_fee_minimum) VALUES ('x_80', '{own,house}', 'NaN');
INSERT INTO ledger.policy (policy_code, stages, liquidation_fee_base) VALUES ('x_80', '{own,house}', 1);
UPDATE ledger.instrument SET depth_ratio = -1 WHERE instrument_id = 8007;
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, maintenance_amount) VALUES (8004, 0, -1);
\set VERBOSITY default

SELECT * FROM risk.verify() WHERE violations > 0;
