-- fund_gainers.sql
--		Holds on gains that an insurance fund has paid for.  Why, and why no
--		withdrawal slips in between, is in src/payout.c.

CREATE FUNCTION risk.create_gainer_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE TABLE IF NOT EXISTS ledger.gainer_watch (
		book_id int PRIMARY KEY REFERENCES ledger.book,
		reset_id bigint NOT NULL DEFAULT 0,
		payment_id bigint NOT NULL DEFAULT 0
	);
	COMMENT ON TABLE ledger.gainer_watch IS
		'Up to which payout of the insurance fund it is decided what is held of the gains on the other side. A book has a row from the first payout on under a policy with a gainer_hold_window; risk.hold_gainers() moves it on.';
	COMMENT ON COLUMN ledger.gainer_watch.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.gainer_watch.reset_id IS 'The last row of ledger.reset that was looked at.';
	COMMENT ON COLUMN ledger.gainer_watch.payment_id IS 'The last row of ledger.shortfall_payment that was looked at.';

	CREATE TABLE IF NOT EXISTS ledger.gainer_hold (
		book_id int NOT NULL,
		hold_id bigint NOT NULL,
		account_id bigint NOT NULL,
		shortfall_id bigint NOT NULL,
		fund_account bigint NOT NULL,
		instrument_id int NOT NULL,
		gain numeric NOT NULL CHECK (gain > 0),
		paid numeric NOT NULL CHECK (paid > 0),
		covered_at numeric NOT NULL,
		PRIMARY KEY (book_id, hold_id)
	);
	COMMENT ON TABLE ledger.gainer_hold IS
		'The holds on gains that an insurance fund has paid for: risk.hold() neither makes nor risk.release() ends them. Append-only.';
	COMMENT ON COLUMN ledger.gainer_hold.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.gainer_hold.hold_id IS 'The hold, see ledger.hold and ledger.open_hold.';
	COMMENT ON COLUMN ledger.gainer_hold.account_id IS 'Whose gain is held.';
	COMMENT ON COLUMN ledger.gainer_hold.shortfall_id IS 'The shortfall that the fund paid for.';
	COMMENT ON COLUMN ledger.gainer_hold.fund_account IS 'The fund.';
	COMMENT ON COLUMN ledger.gainer_hold.instrument_id IS 'The instrument in which one lost and the other gained.';
	COMMENT ON COLUMN ledger.gainer_hold.gain IS 'What the account had gained in it, realised since the window began and not yet realised at the mark, and was not held already. What is held of it is the amount of the hold.';
	COMMENT ON COLUMN ledger.gainer_hold.paid IS 'What the fund paid. No more is held for it, on all accounts together.';
	COMMENT ON COLUMN ledger.gainer_hold.covered_at IS 'The hold ends when the fund has so much again: what it had before it paid.';
END
$function$;
COMMENT ON FUNCTION risk.create_gainer_tables() IS
	'Makes the tables of holds on gainers. Called by risk.install().';

CREATE FUNCTION risk.watched_payouts(book_id int, after_reset bigint, last_reset bigint, after_payment bigint, last_payment bigint)
RETURNS TABLE (reset_id bigint, payment_id bigint, shortfall_id bigint, fund_account bigint, instrument_id int, amount numeric,
			   covered_at numeric, posted_at timestamptz, loser bigint, owner_id text, asset_code text, hold_window interval, hold_duration interval)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT x.reset_id, x.payment_id, x.shortfall_id, x.fund_account, s.instrument_id, x.amount, x.covered_at, x.posted_at,
		   s.account_id, s.owner_id, s.asset_code, p.gainer_hold_window, p.gainer_hold_duration
	  FROM (SELECT r.reset_id, 0::bigint AS payment_id, r.shortfall_id, r.payer_account AS fund_account, r.amount, r.posted_at,
				   r.payer_before AS covered_at
			  FROM ledger.reset r
			 WHERE r.book_id = watched_payouts.book_id AND r.reset_id > after_reset AND r.reset_id <= last_reset AND r.stage = 'fund'
			UNION ALL
			SELECT 0, y.payment_id, y.shortfall_id, y.account_id, y.amount, y.posted_at,
				   y.amount + (SELECT sum(b.amount) FROM ledger.balance b
								WHERE b.book_id = y.book_id AND b.account_id = y.account_id)
			  FROM ledger.shortfall_payment y
			 WHERE y.book_id = watched_payouts.book_id AND y.payment_id > after_payment AND y.payment_id <= last_payment AND y.stage = 'fund') x
	  JOIN ledger.shortfall s ON s.book_id = watched_payouts.book_id AND s.shortfall_id = x.shortfall_id
	  JOIN ledger.policy p ON p.policy_code = s.policy_code AND p.version = s.policy_version
	 WHERE s.instrument_id IS NOT NULL AND p.gainer_hold_window IS NOT NULL
$function$;
COMMENT ON FUNCTION risk.watched_payouts(int, bigint, bigint, bigint, bigint) IS
	'What the insurance funds of a book paid, after that reset up to the other and after that payment up to the other, for losses in an instrument, under a policy with a gainer_hold_window. A part of risk.hold_gainers().';

CREATE FUNCTION risk.gains_not_held(book_id int, instrument_id int, since timestamptz)
RETURNS TABLE (account_id bigint, owner_id text, gain numeric)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT g.account_id, g.owner_id, g.gain
	  FROM (SELECT a.account_id, a.owner_id, trunc(r.amount + coalesce(v.unrealized_pnl, 0) - coalesce(o.amount, 0), t.scale) AS gain
			  FROM ledger.position h
			  JOIN ledger.account a ON a.book_id = h.book_id AND a.account_id = h.account_id AND a.kind = 'trader'
			  JOIN ledger.asset t ON t.asset_code = a.asset_code
			  LEFT JOIN ledger.position_value v ON v.book_id = h.book_id AND v.account_id = h.account_id
											   AND v.instrument_id = h.instrument_id
			 CROSS JOIN LATERAL (
				SELECT coalesce(sum(e.amount), 0) AS amount
				  FROM ledger.entry e
				 WHERE e.book_id = h.book_id AND e.slot = 0 AND e.account_id = h.account_id
				   AND e.posted_at >= since AND e.period >= (since AT TIME ZONE 'UTC')::date
				   AND e.kind IN ('realized_pnl', 'settlement')
				   AND h.instrument_id = CASE e.kind
					   WHEN 'realized_pnl' THEN (SELECT t.instrument_id FROM ledger.trade t
												  WHERE t.book_id = e.book_id AND t.trade_id = e.cause)
					   ELSE (SELECT t.instrument_id FROM ledger.settlement t
							  WHERE t.book_id = e.book_id AND t.settlement_id = e.cause) END) r
			 CROSS JOIN LATERAL (
				SELECT sum(o.remaining) AS amount
				  FROM ledger.open_hold o
				  JOIN ledger.gainer_hold k ON k.book_id = o.book_id AND k.hold_id = o.hold_id
				 WHERE o.book_id = h.book_id AND o.account_id = h.account_id AND k.instrument_id = h.instrument_id) o
			 WHERE (h.book_id::bigint << 32) + h.instrument_id = (gains_not_held.book_id::bigint << 32) + gains_not_held.instrument_id
			   AND a.status <> 'closed') g
	 WHERE g.gain > 0
$function$;
COMMENT ON FUNCTION risk.gains_not_held(int, int, timestamptz) IS
	'The traders of a book who have gained in an instrument since then, realised and at the mark, and how much of it is not held yet; rounded down to the scale of the asset. A part of risk.hold_gainers().';

-- Runs as posting does, under risk.hold_gainers().  What is to be held and what
-- is to end is found out first, and then done in the order of accounts: locks
-- are taken in that order.
CREATE FUNCTION risk.place_gainer_holds() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	watch ledger.gainer_watch;
	last_reset bigint;
	last_payment bigint;
	instrument record;
	payout record;
	gainer record;
	accounts bigint[];
	owners text[];
	gains numeric[];
	due numeric;
	part numeric;
	wanted jsonb[] := '{}';
	covered jsonb[];
	held record;
	made bigint;
	changed bigint := 0;
BEGIN
	FOR watch IN
		SELECT w.* FROM ledger.gainer_watch w
		 WHERE EXISTS (SELECT FROM ledger.reset r WHERE r.book_id = w.book_id AND r.reset_id > w.reset_id)
			OR EXISTS (SELECT FROM ledger.shortfall_payment y WHERE y.book_id = w.book_id AND y.payment_id > w.payment_id)
		 ORDER BY w.book_id
		   FOR NO KEY UPDATE
	LOOP
		-- numbers are in the order of commits: all up to these are there, and what comes after them is for the next time
		last_reset := greatest(watch.reset_id, (SELECT max(r.reset_id) FROM ledger.reset r WHERE r.book_id = watch.book_id));
		last_payment := greatest(watch.payment_id, (SELECT max(y.payment_id) FROM ledger.shortfall_payment y WHERE y.book_id = watch.book_id));
		FOR instrument IN
			SELECT p.instrument_id, p.hold_window, min(p.posted_at) - p.hold_window AS since, sum(p.amount) AS paid,
				   array_agg(p.loser) AS losers, array_agg(p.owner_id) AS owners
			  FROM risk.watched_payouts(watch.book_id, watch.reset_id, last_reset, watch.payment_id, last_payment) p
			 GROUP BY p.instrument_id, p.hold_window ORDER BY p.instrument_id, p.hold_window
		LOOP
			-- those who gained most, as many as it takes, and who shares an owner with one who lost
			SELECT array_agg(g.account_id ORDER BY g.place), array_agg(g.owner_id ORDER BY g.place), array_agg(g.gain ORDER BY g.place)
			  INTO accounts, owners, gains
			  FROM (SELECT n.*, row_number() OVER most AS place,
						   coalesce(sum(n.gain) FILTER (WHERE n.account_id <> ALL (instrument.losers))
									OVER (most ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
					  FROM risk.gains_not_held(watch.book_id, instrument.instrument_id, instrument.since) n
					WINDOW most AS (ORDER BY n.gain DESC, n.account_id)) g
			 WHERE g.before < instrument.paid OR g.owner_id = ANY (instrument.owners);
			FOR payout IN
				SELECT p.* FROM risk.watched_payouts(watch.book_id, watch.reset_id, last_reset, watch.payment_id, last_payment) p
				 WHERE p.instrument_id = instrument.instrument_id AND p.hold_window = instrument.hold_window
				 ORDER BY p.posted_at, p.shortfall_id, p.reset_id, p.payment_id
			LOOP
				due := payout.amount;
				FOR gainer IN
					SELECT u.account_id, u.place::int AS place
					  FROM unnest(accounts, owners, gains) WITH ORDINALITY AS u(account_id, owner_id, gain, place)
					 WHERE u.gain > 0 AND u.account_id <> payout.loser
					 ORDER BY (u.owner_id = payout.owner_id) IS TRUE DESC, u.place
				LOOP
					EXIT WHEN due = 0;
					part := least(gains[gainer.place], due);
					wanted := wanted || (to_jsonb(payout) || jsonb_build_object(
						'book_id', watch.book_id, 'account_id', gainer.account_id, 'gain', gains[gainer.place], 'part', part));
					gains[gainer.place] := gains[gainer.place] - part;
					due := due - part;
				END LOOP;
			END LOOP;
		END LOOP;
		UPDATE ledger.gainer_watch w SET reset_id = last_reset, payment_id = last_payment WHERE w.book_id = watch.book_id;
	END LOOP;

	covered := ARRAY(SELECT to_jsonb(o) FROM ledger.gainer_hold g
					   JOIN ledger.open_hold o ON o.book_id = g.book_id AND o.account_id = g.account_id AND o.hold_id = g.hold_id
					  WHERE (SELECT sum(b.amount) FROM ledger.balance b
							  WHERE b.book_id = g.book_id AND b.account_id = g.fund_account) >= g.covered_at);
	PERFORM FROM ledger.balance b
	 WHERE b.slot = 0 AND (b.book_id, b.account_id) IN (
			SELECT (u ->> 'book_id')::int, (u ->> 'account_id')::bigint FROM unnest(covered || wanted) AS u)
	 ORDER BY b.book_id, b.account_id
	   FOR NO KEY UPDATE;
	FOR held IN
		SELECT o.* FROM unnest(covered) AS u
		  JOIN ledger.open_hold o ON o.book_id = (u ->> 'book_id')::int AND o.account_id = (u ->> 'account_id')::bigint
								 AND o.hold_id = (u ->> 'hold_id')::bigint
		 ORDER BY o.book_id, o.account_id, o.hold_id
	LOOP
		PERFORM risk.release_gainer_as_posting(held.hold_id, 'the payout is covered', held.book_id);
		changed := changed + 1;
	END LOOP;
	FOR gainer IN
		SELECT g.*, clock_timestamp() + g.hold_duration AS expires_at
		  FROM unnest(wanted) WITH ORDINALITY AS u(hold, place), LATERAL jsonb_to_record(u.hold)
			   AS g(book_id int, account_id bigint, shortfall_id bigint, fund_account bigint, instrument_id int, asset_code text,
					gain numeric, part numeric, amount numeric, covered_at numeric, hold_duration interval)
		 ORDER BY u.place
	LOOP
		INSERT INTO ledger.hold (book_id, account_id, amount, purpose, expires_at)
		VALUES (gainer.book_id, gainer.account_id, gainer.part,
				format('the insurance fund paid %s for shortfall %s in instrument %s', gainer.amount, gainer.shortfall_id, gainer.instrument_id),
				gainer.expires_at)
		RETURNING hold_id INTO made;
		INSERT INTO ledger.gainer_hold (book_id, hold_id, account_id, shortfall_id, fund_account, instrument_id, gain, paid, covered_at)
		VALUES (gainer.book_id, made, gainer.account_id, gainer.shortfall_id, gainer.fund_account, gainer.instrument_id,
				gainer.gain, gainer.amount, gainer.covered_at);
		INSERT INTO ledger.event (book_id, account_id, kind, payload)
		VALUES (gainer.book_id, gainer.account_id, 'gainer_hold',
				jsonb_build_object('hold_id', made, 'shortfall_id', gainer.shortfall_id, 'instrument_id', gainer.instrument_id,
								   'asset_code', gainer.asset_code, 'amount', gainer.part, 'expires_at', gainer.expires_at,
								   'steps', jsonb_build_array('Nothing is to be done: the amount stays yours, and can be withdrawn when the insurance fund has what it paid, or the hold has expired.')));
		changed := changed + 1;
	END LOOP;
	RETURN changed;
END
$function$;
COMMENT ON FUNCTION risk.place_gainer_holds() IS
	'What risk.hold_gainers() does.';

CREATE FUNCTION risk.release_gainer_as_posting(hold_id bigint, reason text, book_id int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	held ledger.gainer_hold;
	released bigint;
BEGIN
	SELECT g.* INTO held FROM ledger.gainer_hold g
	 WHERE g.book_id = release_gainer_as_posting.book_id AND g.hold_id = release_gainer_as_posting.hold_id;
	IF NOT FOUND OR coalesce(reason, '') = '' THEN
		RAISE EXCEPTION 'hold % of book % cannot be released for "%"', hold_id, book_id, coalesce(reason, 'NULL')
			USING ERRCODE = '22023',
				  DETAIL = CASE WHEN held.hold_id IS NULL THEN 'It is not a hold on a gainer.' ELSE 'It needs a reason.' END,
				  HINT = 'Table gainer_hold has these holds; risk.release() ends others.';
	END IF;
	INSERT INTO ledger.hold_release (book_id, hold_id, reason)
	VALUES (release_gainer_as_posting.book_id, release_gainer_as_posting.hold_id, release_gainer_as_posting.reason)
	RETURNING release_id INTO released;
	INSERT INTO ledger.event (book_id, account_id, kind, payload)
	VALUES (held.book_id, held.account_id, 'gainer_hold_released',
			jsonb_build_object('hold_id', held.hold_id, 'shortfall_id', held.shortfall_id, 'amount', (SELECT h.amount FROM ledger.hold h WHERE h.book_id = held.book_id AND h.hold_id = held.hold_id), 'reason', reason));
	RETURN released;
END
$function$;
COMMENT ON FUNCTION risk.release_gainer_as_posting(bigint, text, int) IS
	'What risk.release_gainer() does.';

CREATE FUNCTION risk.hold_gainers() RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_hold_gainers';
COMMENT ON FUNCTION risk.hold_gainers() IS
	'Looks at what insurance funds have paid since it was last called, in every book, for losses in an instrument under a policy with a gainer_hold_window, and holds gains on the other side; returns how many holds it made and ended. Gain of an account: what it realised in the instrument since the window began, and what it has not realised, at the mark, without what is held already. Accounts of the owner who lost come first, then who gained most; each gain is held until all that was paid is. Until this has run after a payout, nobody who trades the instrument can take anything out (55000). A hold ends when the fund has again what it had before it paid, after gainer_hold_duration (risk.expire_holds()), or by risk.release_gainer(). It keeps money from being withdrawn, moved or used for new positions; losses are paid out of it as ever. Run by the background worker, or by cron.';

CREATE FUNCTION risk.release_gainer(hold_id bigint, reason text, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'risk_release_gainer';
COMMENT ON FUNCTION risk.release_gainer(bigint, text, int) IS
	'Ends a hold on a gainer before its time, and returns the release_id; NULL for a NULL argument. Errors: 22023 for a hold of another kind, or without a reason; 55000 for one that is not open.';

REVOKE ALL ON FUNCTION
	risk.create_gainer_tables(), risk.watched_payouts(int, bigint, bigint, bigint, bigint),
	risk.gains_not_held(int, int, timestamptz), risk.place_gainer_holds(), risk.release_gainer_as_posting(bigint, text, int),
	risk.hold_gainers(), risk.release_gainer(bigint, text, int)
FROM PUBLIC;
