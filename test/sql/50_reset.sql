-- What happens to a balance below zero: own profit, fee, fund, house or refusal.
-- Every figure in a comment was calculated by hand.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2), ('BTC', 8) ON CONFLICT DO NOTHING;
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset)
SELECT 5000 + n, format('instrument %s of 50', n), 'USDT' FROM generate_series(1, 9) AS n;
ALTER TABLE ledger.transfer ALTER transfer_id RESTART WITH 50001;
ALTER TABLE ledger.trade ALTER trade_id RESTART WITH 50001;
CREATE TEMP SEQUENCE execution START 50001;

-- A book with six traders, who have nothing, a market maker with a million, and a fund.
CREATE PROCEDURE pg_temp.venue(book int, fund numeric) LANGUAGE sql AS $$
	SELECT risk.create_book(book, 'reset');
	INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
	SELECT book, n, 'USDT', owner
	  FROM unnest(ARRAY['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'maker']) WITH ORDINALITY AS u(owner, n);
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
	VALUES (book, risk.system_account(book, 'external', 'USDT'), 7, 1000000, 'deposit'),
		   (book, risk.system_account(book, 'external', 'USDT'), risk.system_account(book, 'insurance_fund', 'USDT'), fund, 'deposit')
$$;
CREATE PROCEDURE pg_temp.deposit(book int, account bigint, amount numeric) LANGUAGE sql AS $$
	SELECT risk.deposit(account, amount, book)
$$;
CREATE PROCEDURE pg_temp.fill(book int, buyer bigint, seller bigint, instrument int, qty numeric, price numeric,
							  buyer_fee numeric DEFAULT 0, seller_fee numeric DEFAULT 0) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, fee, execution_id)
	SELECT book, s.account, instrument, s.side, qty, price, s.fee, e.id
	  FROM (SELECT nextval('execution') AS id) e,
		   (VALUES (buyer, 'buy', buyer_fee), (seller, 'sell', seller_fee)) AS s(account, side, fee)
$$;
CREATE TEMP VIEW wealth AS
SELECT a.book_id, a.account_id, coalesce(a.owner_id, a.kind) AS party, b.balance, coalesce(v.unrealized, 0) AS unrealized,
	   b.balance + coalesce(v.unrealized, 0) AS equity
  FROM ledger.account a
  JOIN (SELECT book_id, account_id, sum(amount) AS balance FROM ledger.balance GROUP BY book_id, account_id) b USING (book_id, account_id)
  LEFT JOIN (SELECT book_id, account_id, sum(unrealized_pnl) AS unrealized FROM ledger.position_value GROUP BY book_id, account_id) v
	   USING (book_id, account_id)
 WHERE a.kind NOT IN ('clearing', 'external') AND a.asset_code = 'USDT';
CREATE TEMP TABLE before AS SELECT * FROM wealth WITH NO DATA;
CREATE PROCEDURE pg_temp.remember(book int) LANGUAGE sql AS $$
	DELETE FROM before;
	INSERT INTO before SELECT * FROM wealth WHERE book_id = book
$$;
-- who is better or worse off than when remembered, at the marks of then and now
CREATE TEMP VIEW change AS
SELECT w.party, b.equity AS equity_before, w.equity AS equity_after, w.equity - b.equity AS change
  FROM wealth w JOIN before b USING (book_id, account_id) WHERE w.equity <> b.equity ORDER BY w.account_id;
CREATE TEMP VIEW resets AS
SELECT r.book_id, r.reset_id, a.owner_id AS party, r.stage, r.shortfall, r.amount, r.balance_before, r.balance_after,
	   r.payer_before, r.payer_after, r.cause_kind
  FROM ledger.reset r JOIN ledger.account a USING (book_id, account_id) ORDER BY r.reset_id;
CREATE TEMP VIEW held AS
SELECT p.book_id, coalesce(a.owner_id, a.kind) AS party, p.instrument_id, trim_scale(p.qty) AS qty, trim_scale(p.cost) AS cost
  FROM ledger.position p JOIN ledger.account a USING (book_id, account_id) WHERE p.qty <> 0 ORDER BY a.account_id, p.instrument_id;

-- 1. The flash crash: liquidation price 50,000, executed at 48,000, back at 52,000

CALL pg_temp.venue(50, 10000);
CALL pg_temp.deposit(50, 1, 12500);
CALL pg_temp.fill(50, 1, 7, 5001, 1, 62500);
INSERT INTO ledger.mark_price VALUES (5001, 62500);
SELECT liquidation_price, bankruptcy_price, distance_percent FROM ledger.position_risk WHERE book_id = 50 AND account_id = 1;
CALL pg_temp.remember(50);
UPDATE ledger.mark_price SET price = 48000 WHERE instrument_id = 5001;
SELECT party, balance, equity FROM wealth WHERE book_id = 50 AND party IN ('alice', 'insurance_fund') ORDER BY account_id;
BEGIN;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, kind, execution_id)
VALUES (50, 1, 5001, 'sell', 1, 48000, 'liquidation', 50000), (50, 7, 5001, 'buy', 1, 48000, 'trade', 50000);
-- until the commit she owes 2,000
SELECT party, balance FROM wealth WHERE book_id = 50 AND party = 'alice';
COMMIT;
UPDATE ledger.mark_price SET price = 52000 WHERE instrument_id = 5001;
SELECT party, balance, equity FROM wealth WHERE book_id = 50 AND party IN ('alice', 'insurance_fund') ORDER BY account_id;
-- she lost her 12,500, the fund 2,000, and the maker won 14,500
SELECT * FROM change;
SELECT sum(change) AS sum FROM change;
SELECT party, stage, shortfall, amount, balance_before, balance_after, payer_before, payer_after, cause_kind FROM resets WHERE book_id = 50;
-- who, why, under which rule, at what mark
SELECT r.owner_id, r.asset_code, a.kind AS payer, t.side, t.qty, t.price, t.kind, r.instrument_id, r.mark_price,
	   r.mark_age > interval '0' AS mark_is_older, r.policy_code, r.policy_version, r.who = session_user AS who
  FROM ledger.reset r
  JOIN ledger.trade t ON t.book_id = r.book_id AND t.trade_id = r.cause
  JOIN ledger.account a ON a.book_id = r.book_id AND a.account_id = r.payer_account
 WHERE r.book_id = 50;
SELECT kind, balance_after, amount FROM ledger.entry WHERE book_id = 50 AND account_id = 1 ORDER BY seq;
SELECT e.account_id, e.kind, e.payload->>'amount' AS amount, e.payload->>'stage' AS stage, e.payload->>'shortfall' AS shortfall
  FROM ledger.event e WHERE e.book_id = 50;
SELECT balance, resets, paid FROM ledger.fund_status WHERE book_id = 50 AND asset_code = 'USDT';
SELECT count(*) AS left_over FROM ledger.below_floor;

-- 2. 10,000 at 10x: a fall of 10 percent leaves exactly nothing, and nobody pays

CALL pg_temp.venue(51, 10000);
CALL pg_temp.deposit(51, 1, 1000);
CALL pg_temp.fill(51, 1, 7, 5002, 100, 100);
CALL pg_temp.fill(51, 7, 1, 5002, 100, 90);
SELECT party, balance FROM wealth WHERE book_id = 51 AND party IN ('alice', 'insurance_fund', 'maker') ORDER BY account_id;
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 51;
-- a cent further down, and there is a cent to pay
CALL pg_temp.deposit(51, 2, 1000);
CALL pg_temp.fill(51, 2, 7, 5002, 100, 100);
CALL pg_temp.fill(51, 7, 2, 5002, 100, 89.9999);
SELECT party, stage, shortfall, amount, balance_before, balance_after, payer_before, payer_after FROM resets WHERE book_id = 51;

-- 3. 1,000 at 5x, 10x, 20x and 100x: liquidated 20, 10, 5 and 1 percent below
-- 50,000; executed another percent lower, 10 * (leverage - 1) are missing

CALL pg_temp.venue(52, 10000);
CREATE TEMP TABLE leveraged (account bigint, leverage numeric);
INSERT INTO leveraged VALUES (1, 5), (2, 10), (3, 20), (4, 100);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
SELECT 52, risk.system_account(52, 'external', 'USDT'), account, 1000, 'deposit' FROM leveraged;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
SELECT 52, v.account, 5003, v.side, leverage * 1000 / 50000, 50000, 52000 + l.account
  FROM leveraged l, LATERAL (VALUES (l.account, 'buy'), (7, 'sell')) AS v(account, side);
INSERT INTO ledger.mark_price VALUES (5003, 50000);
SELECT l.leverage, trim_scale(r.notional) AS notional, r.liquidation_price, -r.distance_percent AS percent
  FROM leveraged l JOIN ledger.position_risk r ON r.book_id = 52 AND r.account_id = l.account ORDER BY l.account;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
SELECT 52, v.account, 5003, v.side, leverage * 1000 / 50000, 50000 * (1 - 1 / leverage) * 0.99, 52010 + l.account
  FROM leveraged l, LATERAL (VALUES (l.account, 'sell'), (7, 'buy')) AS v(account, side);
SELECT l.leverage, r.stage, r.shortfall, r.amount, r.balance_after
  FROM leveraged l JOIN ledger.reset r ON r.book_id = 52 AND r.account_id = l.account ORDER BY l.account;
SELECT party, balance FROM wealth WHERE book_id = 52 AND balance <> 0 ORDER BY account_id;

-- 4. The fund pays, pays in part, is dry: then the house

CALL pg_temp.venue(53, 100);
CREATE PROCEDURE pg_temp.lose(book int, account bigint, amount numeric) LANGUAGE sql AS $$
	CALL pg_temp.fill(book, account, 7, 5004, 1, 10000);
	CALL pg_temp.fill(book, 7, account, 5004, 1, 10000 - amount)
$$;
CALL pg_temp.remember(53);
CALL pg_temp.lose(53, 1, 60);
CALL pg_temp.lose(53, 2, 60);
CALL pg_temp.lose(53, 3, 60);
SELECT party, stage, shortfall, amount, balance_before, balance_after, payer_before, payer_after FROM resets WHERE book_id = 53;
SELECT * FROM change;
SELECT balance, resets, paid FROM ledger.fund_status WHERE book_id = 53 AND asset_code = 'USDT';
-- exactly what is in the fund, and a cent more
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
VALUES (53, risk.system_account(53, 'external', 'USDT'), risk.system_account(53, 'insurance_fund', 'USDT'), 30),
	   (53, risk.system_account(53, 'external', 'USDT'), risk.system_account(53, 'insurance_fund', 'USDT'), 30);
CALL pg_temp.lose(53, 4, 60);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount)
VALUES (53, risk.system_account(53, 'external', 'USDT'), risk.system_account(53, 'insurance_fund', 'USDT'), 60);
CALL pg_temp.lose(53, 5, 60.01);
SELECT party, stage, shortfall, amount, balance_before, balance_after, payer_before, payer_after FROM resets
 WHERE book_id = 53 AND party IN ('dave', 'erin');

-- 5. Policies: who pays is data, and each reset tells the version it followed

INSERT INTO ledger.policy (policy_code, stages) VALUES ('policy_50', '{own,house}');
CALL pg_temp.venue(54, 1000);
UPDATE ledger.account SET policy_code = 'policy_50' WHERE book_id = 54 AND account_id = 1;
UPDATE ledger.account SET policy_code = 'strict' WHERE book_id = 54 AND account_id IN (2, 3);
CALL pg_temp.lose(54, 1, 10);
INSERT INTO ledger.policy (policy_code, version, stages) VALUES ('policy_50', 2, '{own,fund,reject}');
CALL pg_temp.lose(54, 1, 10);
CALL pg_temp.lose(54, 1, 995);
SELECT stage, amount, policy_code, policy_version FROM ledger.reset WHERE book_id = 54 ORDER BY reset_id;
-- strict: refused at commit, and nothing is left of it
CALL pg_temp.lose(54, 2, 10);
\echo :LAST_ERROR_SQLSTATE
BEGIN;
CALL pg_temp.lose(54, 2, 10);
SELECT party, balance FROM wealth WHERE book_id = 54 AND party = 'bob';
COMMIT;
SELECT party, balance FROM wealth WHERE book_id = 54 AND party = 'bob';
SELECT count(*) AS trades FROM ledger.trade WHERE book_id = 54 AND account_id = 2;
-- one that is refused takes along all that came with it
BEGIN;
CALL pg_temp.lose(54, 1, 10);
CALL pg_temp.lose(54, 3, 10);
COMMIT;
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 54;
-- within its means strict is like any other
CALL pg_temp.deposit(54, 3, 10);
CALL pg_temp.lose(54, 3, 10);
SELECT party, balance FROM wealth WHERE book_id = 54 AND party = 'carol';

-- 6. A fee that cannot be paid is cut, so that no reset contains one

CALL pg_temp.venue(55, 1000);
-- balance 10, fee 25: 15 of it are cut
CALL pg_temp.deposit(55, 1, 10);
CALL pg_temp.fill(55, 1, 7, 5004, 1, 100, buyer_fee => 25);
SELECT kind, amount, balance_after FROM ledger.entry WHERE book_id = 55 AND account_id = 1 ORDER BY seq;
SELECT party, balance FROM wealth WHERE book_id = 55 AND party IN ('alice', 'fee', 'insurance_fund') ORDER BY account_id;
-- balance 50, loss 70, fee 5: the fee is gone, the shortfall is 20
CALL pg_temp.deposit(55, 2, 50);
CALL pg_temp.fill(55, 2, 7, 5004, 1, 100);
CALL pg_temp.fill(55, 7, 2, 5004, 1, 30, seller_fee => 5);
SELECT kind, amount, balance_after FROM ledger.entry WHERE book_id = 55 AND account_id = 2 ORDER BY seq;
-- a rebate helps: loss 70, rebate 5, shortfall 15
CALL pg_temp.deposit(55, 3, 50);
CALL pg_temp.fill(55, 3, 7, 5004, 1, 100);
CALL pg_temp.fill(55, 7, 3, 5004, 1, 30, seller_fee => -5);
-- fee first, loss later: a fee that was paid is not cut
BEGIN;
CALL pg_temp.deposit(55, 4, 10);
CALL pg_temp.fill(55, 4, 7, 5004, 1, 100, buyer_fee => 10);
CALL pg_temp.fill(55, 7, 4, 5004, 1, 60);
COMMIT;
-- strict: without its fee the trade is within the means
UPDATE ledger.account SET policy_code = 'strict' WHERE book_id = 55 AND account_id = 5;
CALL pg_temp.fill(55, 5, 7, 5004, 1, 100, buyer_fee => 3);
SELECT kind, amount, balance_after FROM ledger.entry WHERE book_id = 55 AND account_id = 5 ORDER BY seq;
SELECT party, stage, shortfall, amount FROM resets WHERE book_id = 55;
SELECT party, balance FROM wealth WHERE book_id = 55 AND balance <> 0 ORDER BY account_id;

-- 7. Chargebacks, corrections and fees: the fund is for the market

CALL pg_temp.venue(56, 1000);
SELECT risk.system_account(56, 'external', 'USDT') AS external \gset
CALL pg_temp.deposit(56, 1, 30);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (56, 1, :external, 100, 'chargeback');
SELECT party, stage, shortfall, amount, cause_kind FROM resets WHERE book_id = 56;
-- both in one transaction: loss 50 of 30, then 40 charged back: 20 and 40
CALL pg_temp.deposit(56, 2, 30);
BEGIN;
CALL pg_temp.lose(56, 2, 50);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (56, 2, :external, 40, 'chargeback');
COMMIT;
-- the other way round: 10 of the 40 are missing, then 50
CALL pg_temp.deposit(56, 3, 30);
BEGIN;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (56, 3, :external, 40, 'chargeback');
CALL pg_temp.lose(56, 3, 50);
COMMIT;
-- charged back and paid for, then lost: the loss alone is missing
CALL pg_temp.deposit(56, 4, 30);
BEGIN;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (56, 4, :external, 40, 'chargeback');
CALL pg_temp.deposit(56, 4, 10);
CALL pg_temp.lose(56, 4, 50);
COMMIT;
SELECT party, stage, shortfall, amount, cause_kind FROM resets WHERE book_id = 56 AND party <> 'alice';
UPDATE ledger.account SET policy_code = 'strict' WHERE book_id = 56 AND account_id = 5;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (56, 5, :external, 1, 'chargeback');
-- own profit pays before the house does
CALL pg_temp.fill(56, 6, 7, 5005, 1, 100);
INSERT INTO ledger.mark_price VALUES (5005, 150);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind) VALUES (56, 6, :external, 20, 'chargeback');
SELECT party, balance, unrealized FROM wealth WHERE book_id = 56 AND party = 'frank';
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 56 AND account_id = 6;

-- 8. Own profit first: the solvent account with two legs

CALL pg_temp.venue(57, 5000);
CALL pg_temp.deposit(57, 1, 100000);
CALL pg_temp.fill(57, 1, 7, 5006, 20, 50000);
CALL pg_temp.fill(57, 7, 1, 5007, 20, 50000);
INSERT INTO ledger.mark_price VALUES (5006, 60000), (5007, 60000);
CALL pg_temp.remember(57);
-- the short is closed first and loses 200,000; the long has won as much
CALL pg_temp.fill(57, 1, 7, 5007, 20, 60000);
SELECT party, balance, unrealized, equity FROM wealth WHERE book_id = 57 AND party IN ('alice', 'insurance_fund') ORDER BY account_id;
SELECT party, instrument_id, qty, cost FROM held WHERE book_id = 57;
SELECT instrument_id, kind, amount FROM ledger.settlement WHERE book_id = 57;
SELECT kind, amount, balance_after FROM ledger.entry WHERE book_id = 57 AND account_id = 1 ORDER BY seq;
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 57;
SELECT count(*) AS changes FROM change;
CALL pg_temp.fill(57, 7, 1, 5006, 20, 60000);
SELECT party, balance, unrealized, equity FROM wealth WHERE book_id = 57 AND party IN ('alice', 'insurance_fund') ORDER BY account_id;

-- Largest profit first, then by instrument: 30, 20 and 20 of profit, 55 missing
CALL pg_temp.fill(57, 2, 7, 5003, 20, 1);
CALL pg_temp.fill(57, 2, 7, 5002, 20, 1);
CALL pg_temp.fill(57, 2, 7, 5001, 30, 1);
UPDATE ledger.mark_price SET price = 2 WHERE instrument_id IN (5001, 5003);
INSERT INTO ledger.mark_price VALUES (5002, 2);
CALL pg_temp.lose(57, 2, 55);
SELECT instrument_id, amount FROM ledger.settlement WHERE book_id = 57 AND account_id = 2 ORDER BY instrument_id;
SELECT party, balance, unrealized, equity FROM wealth WHERE book_id = 57 AND party = 'bob';

-- Profit 30, loss 10 on another, 20 missing: equity is 0, nobody else pays,
-- and the positions stay
CALL pg_temp.fill(57, 3, 7, 5001, 30, 1);
CALL pg_temp.fill(57, 3, 7, 5002, 10, 3);
CALL pg_temp.lose(57, 3, 20);
SELECT party, balance, unrealized, equity FROM wealth WHERE book_id = 57 AND party = 'carol';
SELECT instrument_id, qty, cost FROM held WHERE book_id = 57 AND party = 'carol';
-- a cent more: equity is -0.01, the positions go, and the cent is all that the fund pays
CALL pg_temp.fill(57, 4, 7, 5001, 30, 1);
CALL pg_temp.fill(57, 4, 7, 5002, 10, 3);
CALL pg_temp.lose(57, 4, 20.01);
SELECT party, balance, unrealized, equity FROM wealth WHERE book_id = 57 AND party = 'dave';
SELECT party, instrument_id, qty, cost FROM held WHERE book_id = 57 AND party IN ('dave', 'liquidity');
SELECT party, stage, shortfall, amount FROM resets WHERE book_id = 57;

-- Profits smaller than a cent count in full: twice 0.005 make up for 0.01
CALL pg_temp.fill(57, 5, 7, 5001, 1, 1.995);
CALL pg_temp.fill(57, 5, 7, 5002, 1, 1.995);
CALL pg_temp.lose(57, 5, 0.01);
SELECT party, balance, unrealized, equity FROM wealth WHERE book_id = 57 AND party = 'erin';
SELECT instrument_id, amount FROM ledger.settlement WHERE book_id = 57 AND account_id = 5;
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 57 AND account_id = 5;
-- strict: own profit is no other payer
UPDATE ledger.account SET policy_code = 'strict' WHERE book_id = 57 AND account_id = 6;
CALL pg_temp.fill(57, 6, 7, 5001, 10, 1);
CALL pg_temp.lose(57, 6, 10);
SELECT party, balance, unrealized, equity FROM wealth WHERE book_id = 57 AND party = 'frank';
CALL pg_temp.lose(57, 6, 0.01);

-- 9. Insolvent: the liquidity account takes every position at the mark, and
-- what is then missing is the shortfall

CALL pg_temp.venue(58, 10000);
UPDATE ledger.mark_price SET price = 95 WHERE instrument_id IN (5001, 5002);
-- 1,000 - 20 * (100 - 40) = -200, and 10 bought at 100 are worth 95: -250
CALL pg_temp.deposit(58, 1, 1000);
CALL pg_temp.fill(58, 1, 7, 5001, 10, 100);
CALL pg_temp.fill(58, 1, 7, 5002, 20, 100);
CALL pg_temp.remember(58);
CALL pg_temp.fill(58, 7, 1, 5002, 20, 40);
SELECT party, balance, equity FROM wealth WHERE book_id = 58 AND party IN ('alice', 'insurance_fund', 'liquidity') ORDER BY account_id;
SELECT party, instrument_id, qty, cost FROM held WHERE book_id = 58;
SELECT account_id > 0 AS trader, side, qty, price, kind, execution_id < 0 AS own_number FROM ledger.trade
 WHERE book_id = 58 AND kind = 'takeover' ORDER BY trade_id;
SELECT party, stage, shortfall, amount, balance_before, balance_after, cause_kind FROM resets WHERE book_id = 58;
-- the cause is the trade that broke the floor, not the takeover
SELECT t.kind, t.instrument_id, t.side, t.price FROM ledger.reset r JOIN ledger.trade t ON t.book_id = r.book_id AND t.trade_id = r.cause WHERE r.book_id = 58;
-- her equity was -50 + 1,000 - 100 = 850 at the mark of 95 for both
SELECT * FROM change;
SELECT sum(change) AS sum FROM change;
-- a short that gains 50 at the mark helps: -150
CALL pg_temp.deposit(58, 2, 1000);
CALL pg_temp.fill(58, 7, 2, 5001, 10, 100);
CALL pg_temp.fill(58, 2, 7, 5002, 20, 100);
CALL pg_temp.fill(58, 7, 2, 5002, 20, 40);
SELECT party, stage, shortfall, amount FROM resets WHERE book_id = 58 AND party = 'bob';
-- long 10 and short 10 met on the liquidity account, at the same mark
SELECT party, instrument_id, qty, cost FROM held WHERE book_id = 58 AND party IN ('alice', 'bob', 'liquidity');
-- a mark with as many digits as there may be
UPDATE ledger.mark_price SET price = 95.000000000000000001 WHERE instrument_id = 5001;
CALL pg_temp.deposit(58, 3, 1000);
CALL pg_temp.fill(58, 3, 7, 5001, 10, 100);
CALL pg_temp.fill(58, 3, 7, 5002, 20, 100);
CALL pg_temp.fill(58, 7, 3, 5002, 20, 40);
SELECT party, stage, shortfall, amount FROM resets WHERE book_id = 58 AND party = 'carol';
-- no mark: at cost, so that 200 are missing and not a cent more, long or short,
-- also where the average entry has no end: 3 for 100 together
CALL pg_temp.deposit(58, 4, 1000);
CALL pg_temp.fill(58, 4, 7, 5009, 1, 34);
CALL pg_temp.fill(58, 4, 7, 5009, 2, 33);
CALL pg_temp.fill(58, 4, 7, 5002, 20, 100);
CALL pg_temp.fill(58, 7, 4, 5002, 20, 40);
CALL pg_temp.deposit(58, 5, 1000);
CALL pg_temp.fill(58, 7, 5, 5009, 1, 34);
CALL pg_temp.fill(58, 7, 5, 5009, 2, 33);
CALL pg_temp.fill(58, 5, 7, 5002, 20, 100);
CALL pg_temp.fill(58, 7, 5, 5002, 20, 40);
SELECT party, stage, shortfall, amount FROM resets WHERE book_id = 58 AND party IN ('dave', 'erin');
-- frozen accounts are settled as well
CALL pg_temp.fill(58, 6, 7, 5001, 10, 100);
UPDATE ledger.account SET status = 'frozen' WHERE book_id = 58 AND account_id = 6;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
VALUES (58, 6, risk.system_account(58, 'external', 'USDT'), 7, 'chargeback');
SELECT party, stage, shortfall, amount FROM resets WHERE book_id = 58 AND party = 'frank';

-- 10. Several at once, with a fund for one: in the order of their numbers

CALL pg_temp.venue(59, 60);
BEGIN;
CALL pg_temp.lose(59, 3, 50);
CALL pg_temp.lose(59, 1, 50);
CALL pg_temp.lose(59, 2, 50);
CALL pg_temp.remember(59);
COMMIT;
SELECT party, stage, shortfall, amount, payer_before, payer_after FROM resets WHERE book_id = 59;
SELECT * FROM change;

-- 11. Healed in time, rolled back, judged early

CALL pg_temp.venue(501, 60);
-- paid before the commit
BEGIN;
CALL pg_temp.lose(501, 1, 50);
SELECT account_id, amount, floor FROM ledger.below_floor JOIN ledger.balance USING (book_id, account_id);
CALL pg_temp.deposit(501, 1, 50);
COMMIT;
-- undone by a savepoint, or by the handler of an exception
BEGIN;
SAVEPOINT loss;
CALL pg_temp.lose(501, 1, 50);
ROLLBACK TO loss;
DO $$
BEGIN
	CALL pg_temp.lose(501, 1, 50);
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
	NULL;
END
$$;
COMMIT;
SELECT party, balance FROM wealth WHERE book_id = 501 AND party IN ('alice', 'insurance_fund') ORDER BY account_id;
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 501;
-- in a savepoint that is kept
BEGIN;
SAVEPOINT loss;
CALL pg_temp.lose(501, 1, 5);
RELEASE loss;
COMMIT;
SELECT party, stage, amount, payer_after FROM resets WHERE book_id = 501;
-- judged in the middle: what is paid in later stays the trader's, and a second
-- loss is a second reset
BEGIN;
CALL pg_temp.lose(501, 2, 10);
SET CONSTRAINTS ALL IMMEDIATE;
SELECT party, balance FROM wealth WHERE book_id = 501 AND party IN ('bob', 'insurance_fund') ORDER BY account_id;
CALL pg_temp.deposit(501, 2, 10);
CALL pg_temp.lose(501, 2, 15);
SELECT party, balance FROM wealth WHERE book_id = 501 AND party IN ('bob', 'insurance_fund') ORDER BY account_id;
SET CONSTRAINTS ALL DEFERRED;
CALL pg_temp.lose(501, 2, 3);
SELECT party, balance FROM wealth WHERE book_id = 501 AND party IN ('bob', 'insurance_fund') ORDER BY account_id;
COMMIT;
SELECT party, stage, amount, payer_after FROM resets WHERE book_id = 501 AND party = 'bob';
-- judged in the middle, insolvent, with positions to be taken over
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
CALL pg_temp.fill(501, 3, 7, 5002, 1, 100);
CALL pg_temp.lose(501, 3, 2);
SELECT party, stage, shortfall, amount, payer_after FROM resets WHERE book_id = 501 AND party = 'carol';
SELECT party, instrument_id, qty, cost FROM held WHERE book_id = 501 AND party IN ('carol', 'liquidity');
ROLLBACK;
-- a refusal in the middle can be caught, and the transaction goes on
UPDATE ledger.account SET policy_code = 'strict' WHERE book_id = 501 AND account_id = 4;
BEGIN;
CALL pg_temp.deposit(501, 4, 1);
SAVEPOINT loss;
SET CONSTRAINTS ALL IMMEDIATE;
CALL pg_temp.lose(501, 4, 2);
ROLLBACK TO loss;
CALL pg_temp.lose(501, 4, 1);
COMMIT;
SELECT party, balance FROM wealth WHERE book_id = 501 AND party = 'dave';

-- 12. A fund that changes within the transaction

CALL pg_temp.venue(502, 60);
SELECT risk.system_account(502, 'insurance_fund', 'USDT') AS fund, risk.system_account(502, 'house', 'USDT') AS house \gset
-- runs dry in the middle
BEGIN;
CALL pg_temp.lose(502, 1, 50);
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CALL pg_temp.lose(502, 2, 50);
COMMIT;
-- filled up after the loss, before the commit
BEGIN;
CALL pg_temp.lose(502, 3, 50);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (502, :house, :fund, 20), (502, :house, :fund, 25);
COMMIT;
-- emptied after the loss, before the commit
BEGIN;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (502, :house, :fund, 40);
CALL pg_temp.lose(502, 4, 50);
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (502, :fund, :house, 30);
COMMIT;
-- what is paid is no longer there to be taken
BEGIN;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (502, :house, :fund, 40);
CALL pg_temp.lose(502, 5, 15);
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO ledger.transfer (book_id, from_account, to_account, amount) VALUES (502, :fund, :house, 25.01);
ROLLBACK;
SELECT party, stage, shortfall, amount, payer_before, payer_after FROM resets WHERE book_id = 502;

-- 13. The liquidity account: its own profit, then the fund, then the house

CALL pg_temp.venue(503, 20);
SELECT risk.system_account(503, 'liquidity', 'USDT') AS liquidity \gset
CALL pg_temp.fill(503, :liquidity, 7, 5005, 1, 100);
-- mark 150: of 80 missing its profit pays 50, the fund 20, the house 10
CALL pg_temp.fill(503, :liquidity, 7, 5004, 1, 100);
CALL pg_temp.fill(503, 7, :liquidity, 5004, 1, 20);
SELECT party, instrument_id, qty, cost FROM held WHERE book_id = 503;
SELECT a.kind, r.stage, r.shortfall, r.amount FROM ledger.reset r JOIN ledger.account a USING (book_id, account_id) WHERE r.book_id = 503 ORDER BY r.reset_id;
SELECT party, balance, equity FROM wealth WHERE book_id = 503 AND party <> 'maker' AND (balance <> 0 OR equity <> 0) ORDER BY account_id;
-- what it takes over can cost it, too.  It turns short at 100, which costs 50;
-- then it takes over a long at 150, which closes the short and costs 50 more.
CALL pg_temp.fill(503, 7, :liquidity, 5005, 2, 100);
CALL pg_temp.fill(503, 1, 7, 5005, 1, 200);
CALL pg_temp.lose(503, 1, 1);
SELECT coalesce(a.owner_id, a.kind) AS party, r.stage, r.shortfall, r.amount FROM ledger.reset r JOIN ledger.account a USING (book_id, account_id)
 WHERE r.book_id = 503 ORDER BY r.reset_id OFFSET 2;
SELECT party, instrument_id, qty, cost FROM held WHERE book_id = 503;

-- 14. Two-phase commit

CALL pg_temp.venue(504, 60);
-- (a transaction that used temporary objects cannot be prepared)
CREATE PROCEDURE ledger.lose_50(account bigint, amount numeric, execution bigint) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	VALUES (504, account, 5004, 'buy', 1, 10000, execution), (504, 7, 5004, 'sell', 1, 10000, execution),
		   (504, 7, 5004, 'buy', 1, 10000 - amount, execution + 1), (504, account, 5004, 'sell', 1, 10000 - amount, execution + 1)
$$;
BEGIN;
CALL ledger.lose_50(1, 50, 504001);
PREPARE TRANSACTION 'risk_ext_50';
-- settled when it was prepared, not yet to be seen, and in nobody's way
SELECT count(*) AS resets FROM ledger.reset WHERE book_id = 504;
CALL pg_temp.deposit(504, 2, 10);
CALL pg_temp.fill(504, 2, 3, 5004, 1, 100, buyer_fee => 1);
SELECT party, balance FROM wealth WHERE book_id = 504 AND party IN ('alice', 'bob', 'insurance_fund') ORDER BY account_id;
COMMIT PREPARED 'risk_ext_50';
SELECT party, stage, shortfall, amount, payer_after FROM resets WHERE book_id = 504;
BEGIN;
CALL ledger.lose_50(4, 50, 504003);
PREPARE TRANSACTION 'risk_ext_50';
ROLLBACK PREPARED 'risk_ext_50';
SELECT count(*) AS trades FROM ledger.trade WHERE book_id = 504 AND account_id = 4;
-- refused when it is prepared
UPDATE ledger.account SET policy_code = 'strict' WHERE book_id = 504 AND account_id = 5;
BEGIN;
CALL ledger.lose_50(5, 50, 504005);
PREPARE TRANSACTION 'risk_ext_50';
BEGIN;
INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id) VALUES (504, 2, 5004, 'buy', 1, 1, 504007);
PREPARE TRANSACTION 'risk_ext_50';
DROP PROCEDURE ledger.lose_50;
SELECT count(*) AS prepared FROM pg_prepared_xacts WHERE database = current_database();
SELECT party, balance FROM wealth WHERE book_id = 504 AND party <> 'maker' AND balance <> 0 ORDER BY account_id;

-- 15. Every reset has its event, and nothing is left to be done

SELECT (SELECT count(*) FROM ledger.reset WHERE book_id BETWEEN 50 AND 59 OR book_id BETWEEN 501 AND 504)
	   = (SELECT count(*) FROM ledger.event WHERE kind = 'reset' AND (book_id BETWEEN 50 AND 59 OR book_id BETWEEN 501 AND 504)) AS all_told;
SELECT count(*) AS left_over FROM ledger.below_floor;
SELECT * FROM risk.verify() WHERE violations > 0;
