-- venue.sql
--		What the tests of who pays share: a venue of eight traders, and views of who is
--		worth how much, and how much more or less than before.  Needs a sequence, execution.

-- A book with eight traders, a fund and an instrument of its own: ten times leverage, maintenance 1 percent.
CREATE PROCEDURE pg_temp.venue(book int, policy text, fund numeric) LANGUAGE sql AS $$
	SELECT risk.create_book(book, 'settle');
	INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (book * 10, 'instrument of ' || book, 'USDT');
	INSERT INTO ledger.margin_tier VALUES (book * 10, 0, 0.01, 10);
	INSERT INTO ledger.mark_price (instrument_id, price) VALUES (book * 10, 100);
	INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id, policy_code)
	SELECT book, n, 'USDT', owner, policy
	  FROM unnest(ARRAY['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'alice', 'maker']) WITH ORDINALITY AS u(owner, n);
	INSERT INTO ledger.transfer (book_id, from_account, to_account, amount, kind)
	VALUES (book, risk.system_account(book, 'external', 'USDT'), 8, 100000, 'deposit'),
		   (book, risk.system_account(book, 'external', 'USDT'), risk.system_account(book, 'insurance_fund', 'USDT'), fund, 'deposit')
$$;
CREATE PROCEDURE pg_temp.deposit(book int, account bigint, amount numeric) LANGUAGE sql AS $$
	SELECT risk.deposit(account, amount, book)
$$;
CREATE PROCEDURE pg_temp.fill(book int, buyer bigint, seller bigint, qty numeric, price numeric, instrument int DEFAULT NULL) LANGUAGE sql AS $$
	INSERT INTO ledger.trade (book_id, account_id, instrument_id, side, qty, price, execution_id)
	SELECT book, s.account, coalesce(instrument, book * 10), s.side, qty, price, e.id
	  FROM (SELECT nextval('execution') AS id) e, (VALUES (buyer, 'buy'), (seller, 'sell')) AS s(account, side)
$$;
CREATE PROCEDURE pg_temp.mark(book int, new_price numeric) LANGUAGE sql AS $$
	UPDATE ledger.mark_price SET price = new_price WHERE instrument_id = book * 10
$$;
CREATE TEMP VIEW party AS
SELECT a.book_id, a.account_id, CASE WHEN a.kind <> 'trader' THEN a.kind WHEN a.account_id = 7 THEN 'alice''s second' ELSE a.owner_id END AS party
  FROM ledger.account a;
CREATE TEMP VIEW wealth AS
SELECT a.book_id, a.account_id, p.party, b.balance, b.balance + coalesce(v.unrealized, 0) AS equity
  FROM ledger.account a
  JOIN party p USING (book_id, account_id)
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
SELECT w.party, trim_scale(b.equity) AS equity_before, trim_scale(w.equity) AS equity_after, trim_scale(w.equity - b.equity) AS change
  FROM wealth w JOIN before b USING (book_id, account_id) WHERE w.equity <> b.equity
UNION ALL
SELECT 'together', NULL, NULL, trim_scale(sum(w.equity - b.equity)) FROM wealth w JOIN before b USING (book_id, account_id)
 ORDER BY 4, 1;
CREATE FUNCTION pg_temp.settle(book int) RETURNS TABLE (stage text, party text, instrument_id int, qty numeric, price numeric, amount numeric)
LANGUAGE sql AS $$
	SELECT s.stage, p.party, s.instrument_id, trim_scale(s.qty), trim_scale(s.price), s.amount
	  FROM risk.settle(settle.book) WITH ORDINALITY AS s(book, shortfall_id, stage, account_id, instrument_id, qty, price, amount, n)
	  JOIN party p ON p.book_id = s.book AND p.account_id = s.account_id ORDER BY s.n
$$;
CREATE TEMP VIEW suspended AS
SELECT o.book_id, p.party, o.remaining FROM ledger.open_shortfall o JOIN party p USING (book_id, account_id) ORDER BY o.shortfall_id;
CREATE TEMP VIEW held AS
SELECT p.book_id, y.party, p.instrument_id, trim_scale(p.qty) AS qty, trim_scale(p.cost) AS cost
  FROM ledger.position p JOIN party y USING (book_id, account_id) WHERE p.qty <> 0 ORDER BY p.account_id, p.instrument_id;
