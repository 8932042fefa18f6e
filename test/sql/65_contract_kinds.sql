-- Inverse and quanto contracts in the books: values, residues, all proofs clean.
\set SHOW_CONTEXT never
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
SELECT risk.create_book(48, 'contract kinds');
-- 1 USD a contract; 100 USD a contract; 0.01 USDT for one point of the index
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, kind, multiplier)
VALUES (4801, 'BTC/USD 48', 'BTC', 'inverse', 1), (4802, 'BTC/USD 100 48', 'BTC', 'inverse', 100),
	   (4803, 'INDEX/USDT 48', 'USDT', 'quanto', 0.01);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
SELECT 48, a, CASE WHEN a < 10 THEN 'BTC' ELSE 'USDT' END, 'trader ' || a FROM generate_series(1, 12) AS a;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT 48, risk.system_account(48, 'external', asset_code), account_id, 10, 'deposit'
  FROM ledger.account WHERE book_id = 48 AND kind = 'trader' ORDER BY account_id;
-- what is wrong; no rows, nothing
CREATE TEMP VIEW wrong AS SELECT * FROM risk.verify(48) WHERE violations > 0;

-- 1. One contract at 60,000: the cost has 16 decimals, the entry price shows 60,000

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 1, 4801, 'buy', 1, 60000, 48001), (48, 2, 4801, 'sell', 1, 60000, 48001);
SELECT account_id, qty, cost FROM ledger.position WHERE book_id = 48 ORDER BY account_id;
SELECT account_id, entry_price FROM ledger.position_risk WHERE book_id = 48 ORDER BY account_id;
SELECT * FROM wrong;

-- 2. One fill of 300 against three of 100: the values differ in their last digit

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 3, 4801, 'buy', 300, 70000, 48002), (48, 4, 4801, 'sell', 100, 70000, 48002),
	   (48, 5, 4801, 'sell', 100, 70000, 48002), (48, 6, 4801, 'sell', 100, 70000, 48002);
SELECT account_id, qty, cost FROM ledger.position WHERE book_id = 48 AND account_id >= 3 ORDER BY account_id;
SELECT account_id < 0 AS clearing, trade_id, execution_id, kind, amount FROM ledger.settlement WHERE book_id = 48 ORDER BY settlement_id;
SELECT * FROM wrong;

-- the same over several statements: judged at commit
BEGIN;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (48, 3, 4801, 'buy', 300, 70000, 48003);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
SELECT 48, a, 4801, 'sell', 100, 70000, 48003 FROM generate_series(4, 6) AS a;
COMMIT;
SELECT count(*), sum(amount) FROM ledger.settlement WHERE book_id = 48 AND execution_id = 48003;
SELECT count(*) AS left_over FROM ledger.unmatched_execution;
SELECT * FROM wrong;

-- More than rounding: refused, and so is a linear contract by the smallest amount.
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 1, 4801, 'buy', 1, 60000, 48004), (48, 2, 4801, 'sell', 1, 60000.0001, 48004);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 10, 4803, 'buy', 1, 60000, 48004), (48, 11, 4803, 'sell', 1, 60000.000000000000000001, 48004);

-- 3. Profit in the coin, by hand: 100 USD * 60 contracts from 50,000 to 60,000
-- is 6,000 (1/50,000 - 1/60,000) = 0.12 - 0.1 = 0.02

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 7, 4802, 'buy', 60, 50000, 48010), (48, 8, 4802, 'sell', 60, 50000, 48010);
SELECT * FROM risk.set_mark_prices(ARRAY[4802], ARRAY[60000], clock_timestamp() - interval '1 s');
SELECT account_id, entry_price, unrealized_pnl, notional FROM ledger.position_risk WHERE book_id = 48 AND instrument_id = 4802 ORDER BY account_id;
SELECT * FROM wrong;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 7, 4802, 'sell', 20, 60000, 48011), (48, 8, 4802, 'buy', 20, 60000, 48011);
SELECT account_id, amount FROM ledger.entry WHERE book_id = 48 AND kind = 'realized_pnl' ORDER BY account_id;
-- a flip
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 7, 4802, 'sell', 70, 60000, 48012), (48, 9, 4802, 'buy', 70, 60000, 48012);
SELECT account_id, qty, entry_price FROM ledger.position_risk WHERE book_id = 48 AND instrument_id = 4802 ORDER BY account_id;
SELECT account_id, balance FROM ledger.account_risk WHERE book_id = 48 AND account_id = 7;
SELECT * FROM wrong;

-- 4. Quanto: 1,000 contracts of 0.01 USDT a point, from 5,000 to 5,010, gain 100

INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 10, 4803, 'buy', 1000, 5000, 48020), (48, 11, 4803, 'sell', 1000, 5000, 48020);
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 10, 4803, 'sell', 1000, 5010, 48021), (48, 12, 4803, 'buy', 1000, 5010, 48021);
SELECT account_id, amount FROM ledger.entry WHERE book_id = 48 AND kind = 'realized_pnl' AND account_id >= 10 ORDER BY account_id;
SELECT * FROM wrong;

-- 5. The liquidity account takes the other side at the same price

UPDATE ledger.book SET unmatched = 'liquidity' WHERE book_id = 48;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
VALUES (48, 1, 4801, 'buy', 7, 61234.5, 48030), (48, 2, 4801, 'buy', 7, 61234.5, 48030);
SELECT side, qty, price FROM ledger.trade WHERE book_id = 48 AND kind = 'mirror';
SELECT * FROM wrong;

-- 6. Any trades: 100 executions of one against several

SELECT setseed(0.48) IS NOT NULL AS seeded;
WITH execution AS (
	SELECT x, 48100 + x AS execution_id, CASE WHEN random() < 0.5 THEN 'buy' ELSE 'sell' END AS side,
		   round((10 ^ (6 * random() - 1))::numeric, 3) AS price, 1 + floor(5 * random())::int AS parts,
		   1 + floor(9 * random())::int AS taker, CASE WHEN random() < 0.5 THEN 4801 ELSE 4802 END AS instrument_id
	  FROM generate_series(1, 100) AS x),
part AS (
	SELECT e.*, p, round((1 + 3 * random())::numeric * price / 1000, 2) + 0.01 AS qty,
		   1 + (e.taker + floor(8 * random())::int) % 9 AS maker
	  FROM execution e, generate_series(1, e.parts) AS p
	OFFSET 0)
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
SELECT 48, taker, instrument_id, side, sum(qty), price, execution_id
  FROM part GROUP BY x, taker, instrument_id, side, price, execution_id
UNION ALL
SELECT 48, maker, instrument_id, CASE side WHEN 'buy' THEN 'sell' ELSE 'buy' END, qty, price, execution_id FROM part
 ORDER BY execution_id;
SELECT count(*) > 20 AS residues, max(abs(amount)) <= 0.0000000000000006 AS small
  FROM ledger.settlement WHERE book_id = 48 AND execution_id >= 48100;
SELECT * FROM wrong;
-- and what verify() is for: a residue that is not one
BEGIN;
SET LOCAL session_replication_role = replica;
ALTER TABLE ledger.settlement DISABLE TRIGGER ALL;
UPDATE ledger.settlement SET amount = amount + 0.0000000000000001 WHERE book_id = 48 AND execution_id = 48002;
SELECT check_name, violations FROM wrong WHERE check_name <> 'guards';
ROLLBACK;
SELECT * FROM wrong;
