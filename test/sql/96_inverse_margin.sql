-- Coin-margined contracts with isolated margin, a funding and dynamic margin.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(66, 'inverse margin');
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (66, 1, 'BTC', 'alice'), (66, 2, 'BTC', 'bob');
-- 100 USD a contract
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, kind, multiplier)
VALUES (6601, 'BTC/USD 66', 'BTC', 'inverse', 100);
INSERT INTO ledger.margin_tier (instrument_id, maintenance_rate, max_leverage) VALUES (6601, 0.05, 20);
SELECT * FROM risk.set_mark_prices(ARRAY[6601], ARRAY[50000], '2024-01-01 00:00+00');
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 66001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 66001;
SELECT risk.deposit(1, 1, 66), risk.deposit(2, 10, 66);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
VALUES (66, risk.system_account(66, 'external', 'BTC'), risk.system_account(66, 'insurance_fund', 'BTC'), 0.5);
INSERT INTO ledger.margin_setting (book_id, account_id, instrument_id, leverage, mode) VALUES (66, 1, 6601, 10, 'isolated');
SELECT risk.open_isolated(1, 6601, 0, book_id => 66, child_id => 11);

CREATE TEMP VIEW account AS
SELECT account_id, balance, unrealized_pnl, initial_margin, maintenance_margin, withdrawable
  FROM ledger.account_risk WHERE book_id = 66 AND owner_id = 'alice' ORDER BY account_id;
CREATE TEMP VIEW isolated AS
SELECT qty, entry_price AS entry, round(liquidation_price, 2) AS liquidation, round(bankruptcy_price, 2) AS bankruptcy
  FROM ledger.position_risk WHERE book_id = 66 AND account_id = 11;
CREATE PROCEDURE pg_temp.fill(qty numeric, price numeric, fee numeric DEFAULT 0, kind text DEFAULT 'trade', at timestamptz DEFAULT clock_timestamp())
LANGUAGE sql AS $$
	WITH e AS (SELECT nextval('ledger.trade_execution_id_seq') AS id)
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, kind, execution_id, executed_at)
	SELECT 66, v.account_id, 6601, v.side, abs($1), $2, v.fee, $4, e.id, $5
	  FROM e, (VALUES (11, CASE WHEN $1 > 0 THEN 'buy' ELSE 'sell' END, $3),
					  (2, CASE WHEN $1 > 0 THEN 'sell' ELSE 'buy' END, 0)) AS v(account_id, side, fee)
$$;

-- 1. 50 contracts at 50,000 are 0.1: 0.1 / 10 and the fee come from the parent.
--	  Liquidation: 5,000 * 1.05 / (0.01 + 0.1); all is lost at 5,000 / 0.11

CALL pg_temp.fill(50, 50000, 0.0001, at => '2024-01-01 01:00+00');
SELECT * FROM account;
SELECT * FROM isolated;

-- 2. Half is closed at 62,500: 2,500 / 50,000 - 2,500 / 62,500 = 0.01, and half
--	  of the 0.02 that are there goes back

SELECT * FROM risk.set_mark_prices(ARRAY[6601], ARRAY[62500], '2024-01-01 02:00+00');
CALL pg_temp.fill(-25, 62500, at => '2024-01-01 03:00+00');
SELECT * FROM account;

-- 3. A funding of 0.1 % of 0.04: paid up, received down.  A trade that is
--	  posted later and was executed before pays what it missed.

SELECT payers, receivers, paid, received, mark_price FROM risk.pay_funding(6601, 0.001, '2024-01-01 04:00+00', 66);
CALL pg_temp.fill(25, 50000, at => '2024-01-01 03:30+00');
SELECT e.account_id, e.kind, e.amount FROM ledger.entry e
 WHERE e.book_id = 66 AND e.kind IN ('funding', 'late_funding') AND e.account_id > 0 ORDER BY e.account_id, e.seq;
CALL pg_temp.fill(-25, 50000);
SELECT * FROM risk.verify(66) WHERE violations > 0;

-- 4. Turned over at 50,000: 0.05 / 10 for 25 short

CALL pg_temp.fill(-50, 50000);
SELECT * FROM account;
SELECT * FROM isolated;

-- 5. Dynamic margin: the tier is 2 % now, and 4 % from the next mark on.  At the
--	  liquidation price the equity is the maintenance margin: 2,500 * 0.96 / 0.045

UPDATE ledger.margin_tier SET maintenance_rate = 0.02 WHERE instrument_id = 6601;
SELECT * FROM risk.set_mark_prices(ARRAY[6601], ARRAY[50000], '2024-01-02 00:00+00');
SELECT maintenance_margin FROM account WHERE account_id = 11;
INSERT INTO ledger.margin_scale (instrument_id, effective_at, scale) VALUES (6601, '2024-01-02 01:00+00', 2);
SELECT maintenance_margin FROM account WHERE account_id = 11;
SELECT * FROM risk.set_mark_prices(ARRAY[6601], ARRAY[50000], '2024-01-02 01:00+00');
SELECT maintenance_margin FROM account WHERE account_id = 11;
SELECT * FROM isolated;
SELECT round(a.balance + risk.unrealized_pnl_at_cost(p.qty, p.cost, r.liquidation_price, 100, 'inverse')
			 - risk.notional(p.qty, r.liquidation_price, 100, 'inverse') * 0.04, 14) AS "equity less maintenance"
  FROM ledger.position p JOIN ledger.position_risk r USING (book_id, account_id, instrument_id)
  JOIN ledger.account_risk a USING (book_id, account_id)
 WHERE p.book_id = 66 AND p.account_id = 11;

-- 6. The market gaps to 80,000: 2,500 / 50,000 - 2,500 / 80,000 = 0.01875 are
--	  lost of what is there.  The fund pays the rest, and the parent nothing.

SELECT balance FROM account WHERE account_id = 1;
SELECT * FROM risk.set_mark_prices(ARRAY[6601], ARRAY[80000], '2024-01-02 02:00+00');
CALL pg_temp.fill(25, 80000, kind => 'liquidation');
SELECT account_id, stage, shortfall, amount, balance_before, balance_after, payer_after
  FROM ledger.reset WHERE book_id = 66;
SELECT account_id, balance FROM account;

-- nothing is open, and what has been rounded is in the residues
SELECT count(*) FILTER (WHERE qty <> 0 OR cost <> 0) AS open FROM ledger.position WHERE book_id = 66;
SELECT sum(amount) AS sum FROM ledger.balance WHERE book_id = 66;
SELECT * FROM risk.verify(66) WHERE violations > 0;
