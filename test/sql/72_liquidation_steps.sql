-- Liquidations step by step, with worked figures.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT risk.create_book(72, 'liquidation steps');
INSERT INTO ledger.asset VALUES ('USDL', 2);
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, lot) VALUES
	(7201, 'L1', 'USDL', NULL), (7202, 'L2', 'USDL', 0.1), (7203, 'L3', 'USDL', NULL), (7204, 'L4', 'USDL', 1);
INSERT INTO ledger.margin_tier (instrument_id, notional_floor, maintenance_rate, max_leverage, maintenance_amount) VALUES
	(7201, 0, 0.004, 100, 0), (7201, 1000000, 0.0045, 100, 0),
	(7202, 0, 0.01, 50, 500), (7202, 10000, 0.02, 25, 500), (7202, 20000, 0.04, 10, 500),
	(7203, 0, 0, 100, 0),
	(7204, 0, 0.05, 10, 0);
INSERT INTO ledger.policy (policy_code, stages, maintenance_basis, liquidation_trigger, liquidation_fee_base, step_rule, execution, surplus_to,
						   liquidation_fee_to_fund, liquidation_fee_to_liquidator, recourse) VALUES
	('l_fee', '{own,fund,house}', 'mark', 'at_or_below', 0.005, 'tier', 'mark', 'trader', 0.5, 0.25, 'none'),
	('l_takeover', '{own,fund,house}', 'mark', 'at_or_below', 0.005, 'tier', 'takeover', 'fund', 1, 0, 'none'),
	('l_gate', '{own,fund,house}', 'mark', 'at_or_below', NULL, 'tier', 'mark', 'fund', 1, 0, 'none'),
	('l_electra', '{own,fund,house}', 'amount', 'below', NULL, 'tier', 'mark', 'trader', 1, 0, 'none'),
	('l_electra_fee', '{own,fund,house}', 'amount', 'below', 0.015, 'tier', 'mark', 'trader', 1, 0, 'none'),
	('l_nebannpet', '{own,fund,receivable}', 'mark', 'below', NULL, 'all', 'mark', 'fund', 1, 0, 'debt'),
	('l_shortage', '{own,fund,house}', 'mark', 'at_or_below', NULL, 'shortage', 'mark', 'trader', 1, 0, 'none'),
	('l_portion', '{own,fund,house}', 'mark', 'at_or_below', NULL, 'portion', 'mark', 'trader', 1, 0, 'none');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (7201, 100000), (7202, 25000), (7203, 55000), (7204, 100);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code) VALUES
	(72, 1, 'USDL', 'ann', 'l_fee'), (72, 2, 'USDL', 'bea', 'l_takeover'), (72, 3, 'USDL', 'cid', 'l_electra'), (72, 4, 'USDL', 'dan', 'l_electra'),
	(72, 5, 'USDL', 'eve', 'l_electra_fee'), (72, 6, 'USDL', 'fay', 'l_gate'), (72, 7, 'USDL', 'gus', 'l_gate'), (72, 8, 'USDL', 'hal', 'l_nebannpet'),
	(72, 9, 'USDL', 'ida', 'l_shortage'), (72, 10, 'USDL', 'jon', 'l_portion'), (72, 100, 'USDL', 'maker', 'electra');
SELECT count(risk.deposit(a.account_id, d.amount, 72))
  FROM (VALUES (1, 10900), (2, 10900), (3, 1500), (4, 1500), (5, 640), (6, 1100), (7, 1100.01), (8, 5000), (9, 500), (10, 500), (100, 1e9)) AS d(id, amount)
  JOIN ledger.account a ON a.book_id = 72 AND a.account_id = d.id;
SELECT risk.deposit(risk.system_account(72, 'insurance_fund', 'USDL'), 500, 72) > 0 AS fund;
CREATE FUNCTION pg_temp.trade(account bigint, instrument int, side text, qty numeric, price numeric) RETURNS void LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	SELECT 72, v.*, e.id FROM (SELECT nextval('ledger.trade_trade_id_seq') AS id OFFSET 0) e,
		LATERAL (VALUES (account, instrument, side, qty, price), (100, instrument, CASE side WHEN 'buy' THEN 'sell' ELSE 'buy' END, qty, price)) v
$$;
CREATE VIEW pg_temp.steps AS
SELECT s.step, s.instrument_id AS instrument, s.qty_before, s.qty, trim_scale(s.price) AS price, s.maintenance_before AS mm_before, s.maintenance_after AS mm_after,
	   s.fee_owed, s.fee, round(s.level_before, 2) AS level_before, round(s.level_after, 2) AS level_after, l.account_id
  FROM ledger.liquidation_step s JOIN ledger.liquidation l USING (book_id, liquidation_id) WHERE book_id = 72;
CREATE VIEW pg_temp.liquidations AS
SELECT l.account_id, l.outcome, l.steps, l.equity_before, trim_scale(l.requirement_before) AS required_before, l.equity_after, trim_scale(l.requirement_after) AS required_after,
	   round(l.level_after, 2) AS level_after, l.fee_owed, l.fee_to_fund AS to_fund, l.fee_to_liquidator AS to_liquidator, l.fee_to_venue AS to_venue, l.surplus
  FROM ledger.liquidation l WHERE l.book_id = 72;

-- A fee of 0.5 % on a tier of 0.4 % must not make full closures of all
-- liquidations.  Notional 1,200,000: maintenance 1,200,000 * 0.0045 - 500 =
-- 4,900, fee 6,000, required 10,900, which is the equity.  The step closes what
-- is above 1,000,000 and frees 900: 450 of the fee of 1,000 are charged at
-- once.  Equity 10,450 against 4,000 + 5,000: above 100 %, and there is room
-- for the rest of the fee.
SELECT pg_temp.trade(1, 7201, 'buy', 12, 100000);
SELECT risk.next_step(72, 1, 7201);
SELECT result, detail FROM risk.sweep_account(72, 1);
SELECT * FROM pg_temp.steps WHERE account_id = 1 \gx
SELECT * FROM pg_temp.liquidations WHERE account_id = 1 \gx
SELECT a.kind, sum(e.amount) AS amount, count(*) AS entries
  FROM ledger.entry e JOIN ledger.account a USING (book_id, account_id)
 WHERE e.book_id = 72 AND e.kind = 'liquidation_fee' GROUP BY a.kind ORDER BY a.kind;

-- The same by takeover at the bankruptcy price, 100,000 - 10,900 / 12: the
-- liquidity account gets the part's share of the equity, 1,816.67, and no fee
-- is left to be charged.  10,900 * 10 / 12 against 9,000.
SELECT pg_temp.trade(2, 7201, 'buy', 12, 100000);
SELECT result, detail FROM risk.sweep_account(72, 2);
SELECT * FROM pg_temp.steps WHERE account_id = 2 \gx
SELECT equity_after, level_after FROM pg_temp.liquidations WHERE account_id = 2;

-- Electra: entry 25,000, size 10,000, margin 1,500, maintenance 500 as an
-- amount: liquidated below 22,500, short above 27,500, and not at them.
SELECT pg_temp.trade(3, 7202, 'buy', 0.4, 25000), pg_temp.trade(4, 7202, 'sell', 0.4, 25000);
SELECT account_id, liquidation_price FROM ledger.position_risk WHERE book_id = 72 AND account_id IN (3, 4) ORDER BY 1;
UPDATE ledger.mark_price SET price = 22500 WHERE instrument_id = 7202;
SELECT result FROM risk.sweep_account(72, 3);
UPDATE ledger.mark_price SET price = 22499 WHERE instrument_id = 7202;
SELECT result FROM risk.sweep_account(72, 3);
UPDATE ledger.mark_price SET price = 27500 WHERE instrument_id = 7202;
SELECT result FROM risk.sweep_account(72, 4);
UPDATE ledger.mark_price SET price = 27501 WHERE instrument_id = 7202;
SELECT result FROM risk.sweep_account(72, 4);
SELECT account_id, outcome, equity_before, required_before, equity_after FROM pg_temp.liquidations WHERE account_id IN (3, 4) ORDER BY 1;
-- the fee: 10,000 at 1.5 % is 150, a part of what is required (650)
UPDATE ledger.mark_price SET price = 25000 WHERE instrument_id = 7202;
SELECT pg_temp.trade(5, 7202, 'buy', 0.4, 25000);
SELECT result FROM risk.sweep_account(72, 5);
SELECT outcome, equity_before, required_before, fee_owed, to_fund, equity_after FROM pg_temp.liquidations WHERE account_id = 5;

-- Gate: notional 25,000, maintenance 25,000 * 0.04 - 500 = 500; down to 20,000
-- it is 300, down to 10,000 it is 100.  With an equity of exactly 100 the level
-- is exactly 100 % after two steps, which is where it is triggered, too: all is
-- closed.  With 100.01 the second step is the last.
SELECT pg_temp.trade(6, 7202, 'buy', 1, 26000), pg_temp.trade(7, 7202, 'buy', 1, 26000);
SELECT a.account_id, s.result, s.detail FROM (VALUES (6), (7)) AS a(account_id), LATERAL risk.sweep_account(72, a.account_id) s ORDER BY 1;
SELECT account_id, step, qty_before, qty, mm_before, mm_after, level_before, level_after FROM pg_temp.steps WHERE account_id IN (6, 7) ORDER BY account_id, step;
-- closed at the mark and better than bankruptcy: what is left goes to the fund
SELECT account_id, outcome, steps, equity_after, required_after, surplus FROM pg_temp.liquidations WHERE account_id IN (6, 7) ORDER BY 1;

-- Nebannpet: liquidation price 50,000, the market gaps to 48,000.  The account
-- ends 2,000 below zero.  The fund has 500, fees of 500 and 150, and a surplus
-- of 100; the rest is a receivable.  All of it is owed, and the account frozen.
SELECT pg_temp.trade(8, 7203, 'buy', 1, 55000);
UPDATE ledger.mark_price SET price = 48000 WHERE instrument_id = 7203;
SELECT result, detail FROM risk.sweep_account(72, 8);
SELECT step, qty, price, fee_owed FROM pg_temp.steps WHERE account_id = 8;
SELECT outcome, equity_before, equity_after FROM pg_temp.liquidations WHERE account_id = 8;
SELECT stage, amount, balance_before, balance_after FROM ledger.reset WHERE book_id = 72 AND account_id = 8 ORDER BY reset_id;
SELECT d.principal, a.status FROM ledger.debt d JOIN ledger.account a USING (book_id, account_id) WHERE book_id = 72;

-- Just what is short, in whole lots: 100 contracts at 100 require 500 of an
-- equity of 300.  59 left would be 295 and 60 exactly 300: 41 are closed.
SELECT pg_temp.trade(9, 7204, 'buy', 100, 102);
SELECT risk.next_step(72, 9, 7204);
SELECT result, detail FROM risk.sweep_account(72, 9);
-- A fifth at a time, rounded up to a lot: 13 of 64, 11 of 51.  32 require 160,
-- which is the equity: at exactly 100 % it goes on.
SELECT pg_temp.trade(10, 7204, 'buy', 100, 103.4);
SELECT result, detail FROM risk.sweep_account(72, 10);
SELECT step, qty_before, qty, level_before, level_after FROM pg_temp.steps WHERE account_id = 10 ORDER BY step;

-- A trader sees the steps of his own liquidations, and of nobody else's.
BEGIN;
SELECT risk.protect_owners();
CREATE ROLE regress_liquidated IN ROLE risk_trader;
UPDATE ledger.account SET owner_id = 'regress_liquidated' WHERE book_id = 72 AND account_id = 10;
SET LOCAL ROLE regress_liquidated;
SELECT l.account_id, s.step, s.qty FROM ledger.liquidation_step s LEFT JOIN ledger.liquidation l USING (book_id, liquidation_id) ORDER BY s.step;
ROLLBACK;

SELECT check_name, first_offender FROM risk.verify(72) WHERE violations > 0;
