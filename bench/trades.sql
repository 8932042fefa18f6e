-- trades.sql
--		Trades posted by a PL/pgSQL row trigger: what bench/ledger compares the
--		ledger's COPY of trades with.
--
-- It makes the same positions and the same entries (linear contracts, cross
-- margin), with balance_after, sequence numbers, profit rounded against the
-- trader and residues, and refuses a balance below its floor at commit.  It
-- does not check that executions net, states, scales, limits and fundings.
-- System accounts have one row each.

\set ON_ERROR_STOP 1
\set QUIET 1
SET client_min_messages = warning;
\o /dev/null

INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset, multiplier)
SELECT i, 'I' || i, 'USD', 1.0 / i FROM generate_series(1, 5) i;
INSERT INTO ledger.mark_price (instrument_id, price) SELECT i, 100 * i FROM generate_series(1, 5) i;

CREATE SCHEMA trades;
CREATE TABLE trades.trade (LIKE ledger.trade INCLUDING ALL);
CREATE TABLE trades.position (LIKE ledger.position INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE trades.entry (LIKE ledger.entry INCLUDING ALL);
CREATE TABLE trades.balance (LIKE ledger.balance INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE trades.residue (trade_id bigint PRIMARY KEY, account_id bigint, instrument_id int, amount numeric);
INSERT INTO trades.balance SELECT * FROM ledger.balance WHERE slot = 0;

CREATE FUNCTION trades.post_entry(trade trades.trade, account bigint, amount numeric, kind text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	after trades.balance;
BEGIN
	UPDATE trades.balance b
	   SET amount = b.amount + post_entry.amount, seq = b.seq + 1, posted_at = greatest(clock_timestamp(), b.posted_at)
	 WHERE b.book_id = trade.book_id AND b.slot = 0 AND b.account_id = account
	RETURNING * INTO STRICT after;
	INSERT INTO trades.entry (book_id, slot, account_id, seq, posted_at, effective_at, cause, period, amount, balance_after, kind)
	VALUES (trade.book_id, 0, account, after.seq, after.posted_at, trade.executed_at, trade.trade_id, trade.period,
			post_entry.amount, after.amount, post_entry.kind);
END $$;

CREATE FUNCTION trades.post() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	contract ledger.instrument;
	held trades.position;
	digits int;
	clearing bigint;
	fees bigint;
	signed numeric := CASE NEW.side WHEN 'buy' THEN NEW.qty ELSE -NEW.qty END;
	closed numeric;			-- signed as the trade is
	closed_value numeric;
	profit numeric;			-- times abs(held.qty) and the asset's power of ten
	realized numeric;
	after_qty numeric;
	after_cost numeric;
BEGIN
	SELECT i.* INTO STRICT contract FROM ledger.instrument i WHERE i.instrument_id = NEW.instrument_id;
	SELECT a.scale INTO STRICT digits FROM ledger.asset a WHERE a.asset_code = contract.settle_asset;
	SELECT a.account_id INTO STRICT clearing FROM ledger.account a
	 WHERE a.book_id = NEW.book_id AND a.kind = 'clearing' AND a.asset_code = contract.settle_asset AND a.kind <> 'trader';
	SELECT a.account_id INTO STRICT fees FROM ledger.account a
	 WHERE a.book_id = NEW.book_id AND a.kind = 'fee' AND a.asset_code = contract.settle_asset AND a.kind <> 'trader';
	-- the balance guards the positions
	PERFORM FROM trades.balance b
	  WHERE b.book_id = NEW.book_id AND b.slot = 0 AND b.account_id = NEW.account_id FOR NO KEY UPDATE;
	SELECT p.* INTO held FROM trades.position p
	 WHERE p.book_id = NEW.book_id AND p.account_id = NEW.account_id AND p.instrument_id = NEW.instrument_id;

	after_qty := coalesce(held.qty, 0) + signed;
	IF coalesce(held.qty, 0) * signed >= 0 THEN
		after_cost := coalesce(held.cost, 0) + signed * contract.multiplier * NEW.price;
	ELSE
		closed := sign(signed) * least(abs(held.qty), NEW.qty);
		closed_value := closed * contract.multiplier * NEW.price;
		profit := (-closed_value * abs(held.qty) - held.cost * abs(closed)) * 10::numeric ^ digits;
		realized := div(profit, abs(held.qty));
		IF realized * abs(held.qty) > profit THEN
			realized := realized - 1;
		END IF;
		realized := round(realized / 10::numeric ^ digits, digits);
		after_cost := held.cost + closed_value + realized;
		IF closed = -held.qty AND after_cost <> 0 THEN
			INSERT INTO trades.residue VALUES (NEW.trade_id, NEW.account_id, NEW.instrument_id, -after_cost);
		END IF;
		IF closed = -held.qty THEN
			after_cost := (signed - closed) * contract.multiplier * NEW.price;
		END IF;
	END IF;
	INSERT INTO trades.position (book_id, instrument_id, account_id, trades, qty, cost)
	VALUES (NEW.book_id, NEW.instrument_id, NEW.account_id, 1, after_qty, after_cost)
	ON CONFLICT (book_id, account_id, instrument_id) DO UPDATE
	SET trades = position.trades + 1, qty = excluded.qty, cost = excluded.cost;

	IF realized <> 0 THEN
		PERFORM trades.post_entry(NEW, NEW.account_id, realized, 'realized_pnl');
		PERFORM trades.post_entry(NEW, clearing, -realized, 'realized_pnl');
	END IF;
	IF NEW.fee <> 0 THEN
		PERFORM trades.post_entry(NEW, NEW.account_id, -NEW.fee, 'trade_fee');
		PERFORM trades.post_entry(NEW, fees, NEW.fee, 'trade_fee');
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER post AFTER INSERT ON trades.trade FOR EACH ROW EXECUTE FUNCTION trades.post();

CREATE FUNCTION trades.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM trades.balance b WHERE b.book_id = NEW.book_id AND b.slot = 0
			   AND b.account_id = NEW.account_id AND b.amount < b.floor) THEN
		RAISE EXCEPTION 'balance of account % below its floor', NEW.account_id USING ERRCODE = '23514';
	END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER floor AFTER UPDATE ON trades.balance DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.amount < NEW.floor) EXECUTE FUNCTION trades.refuse();

-- Trades of a thousand accounts, in the order in which they are fed.
CREATE TABLE trades.feed AS
SELECT 2 * g + l.place AS place, g AS execution_id, (g::bigint * 7919 + l.place * (1 + g % 997)) % 1000 + 1 AS account_id,
	   g % 5 + 1 AS instrument_id, l.side, 1 + g % 7 AS qty, (100 + (g * 31 % 41 - 20) / 2.0) * (g % 5 + 1) AS price,
	   CASE WHEN g % 3 = 0 THEN 0.05 ELSE 0 END AS fee
  FROM generate_series(0, 9999) g, (VALUES (0, 'buy'), (1, 'sell')) l(place, side);

-- How many positions and entries differ; both sides have been fed the same.
CREATE FUNCTION trades.differences() RETURNS bigint LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM ledger.position p
			  FULL JOIN trades.position q USING (book_id, account_id, instrument_id)
			 WHERE (p.trades, p.qty, p.cost) IS DISTINCT FROM (q.trades, q.qty, q.cost)) +
		   (SELECT count(*) FROM (SELECT account_id, kind, amount, count(*) FROM ledger.entry
								   WHERE kind IN ('realized_pnl', 'trade_fee') GROUP BY 1, 2, 3) e
			  FULL JOIN (SELECT account_id, kind, amount, count(*) FROM trades.entry GROUP BY 1, 2, 3) f
				USING (account_id, kind, amount, count)
			 WHERE e.account_id IS NULL OR f.account_id IS NULL)
$$;
