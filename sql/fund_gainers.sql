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
		'Up to which payout of the insurance fund it is decided what is held of the gains on the other side. Written by risk.hold_gainers().';
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
	COMMENT ON COLUMN ledger.gainer_hold.gain IS 'What the account had gained in it: realised since the window began, and not yet realised at the mark.';
	COMMENT ON COLUMN ledger.gainer_hold.paid IS 'What the fund paid. The lesser of both is held.';
	COMMENT ON COLUMN ledger.gainer_hold.covered_at IS 'The hold ends when the fund has so much again: what it had before it paid.';
END
$function$;
COMMENT ON FUNCTION risk.create_gainer_tables() IS
	'Makes the tables of holds on gainers. Called by risk.install().';

-- Runs as posting does, under risk.hold_gainers().
CREATE FUNCTION risk.place_gainer_holds() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	watch ledger.gainer_watch;
	payout record;
	gainer record;
	covered record;
	held_gains numeric;
	made bigint;
	changed bigint := 0;
BEGIN
	FOR covered IN
		SELECT g.* FROM ledger.gainer_hold g
		  JOIN ledger.open_hold o ON o.book_id = g.book_id AND o.account_id = g.account_id AND o.hold_id = g.hold_id
		 WHERE (SELECT sum(b.amount) FROM ledger.balance b
				 WHERE b.book_id = g.book_id AND b.account_id = g.fund_account) >= g.covered_at
		 ORDER BY g.book_id, g.account_id, g.hold_id
	LOOP
		PERFORM risk.release_gainer_as_posting(covered.hold_id, 'the payout is covered', covered.book_id);
		changed := changed + 1;
	END LOOP;

	IF NOT EXISTS (SELECT FROM ledger.policy p WHERE p.gainer_hold_window IS NOT NULL) THEN
		RETURN changed;
	END IF;
	INSERT INTO ledger.gainer_watch (book_id)
	SELECT b.book_id FROM ledger.book b
	 WHERE NOT EXISTS (SELECT FROM ledger.gainer_watch w WHERE w.book_id = b.book_id)
	 ORDER BY b.book_id
	ON CONFLICT DO NOTHING;
	FOR watch IN
		SELECT w.* FROM ledger.gainer_watch w
		 WHERE EXISTS (SELECT FROM ledger.reset r WHERE r.book_id = w.book_id AND r.reset_id > w.reset_id)
			OR EXISTS (SELECT FROM ledger.shortfall_payment y WHERE y.book_id = w.book_id AND y.payment_id > w.payment_id)
		 ORDER BY w.book_id
		   FOR NO KEY UPDATE
	LOOP
		FOR payout IN
			SELECT x.*, p.gainer_hold_window, p.gainer_hold_duration, s.account_id AS loser, s.owner_id, s.asset_code
			  FROM (SELECT r.reset_id, 0 AS payment_id, r.shortfall_id, r.payer_account, r.instrument_id, r.amount, r.posted_at,
						   r.payer_before AS covered_at
					  FROM ledger.reset r
					 WHERE r.book_id = watch.book_id AND r.reset_id > watch.reset_id AND r.stage = 'fund'
					UNION ALL
					SELECT 0, y.payment_id, y.shortfall_id, y.account_id, s.instrument_id, y.amount, y.posted_at,
						   y.amount + (SELECT sum(b.amount) FROM ledger.balance b
										WHERE b.book_id = y.book_id AND b.account_id = y.account_id)
					  FROM ledger.shortfall_payment y
					  JOIN ledger.shortfall s ON s.book_id = y.book_id AND s.shortfall_id = y.shortfall_id
					 WHERE y.book_id = watch.book_id AND y.payment_id > watch.payment_id AND y.stage = 'fund') x
			  JOIN ledger.shortfall s ON s.book_id = watch.book_id AND s.shortfall_id = x.shortfall_id
			  JOIN ledger.policy p ON p.policy_code = s.policy_code AND p.version = s.policy_version
			 ORDER BY x.posted_at, x.shortfall_id
		LOOP
			watch.reset_id := greatest(watch.reset_id, payout.reset_id);
			watch.payment_id := greatest(watch.payment_id, payout.payment_id);
			CONTINUE WHEN payout.gainer_hold_window IS NULL OR payout.instrument_id IS NULL;
			held_gains := 0;
			FOR gainer IN
				SELECT g.account_id, g.gain
				  FROM (SELECT a.account_id, a.owner_id, trunc(r.amount + coalesce(v.unrealized_pnl, 0), t.scale) AS gain
						  FROM ledger.position h
						  JOIN ledger.account a ON a.book_id = h.book_id AND a.account_id = h.account_id AND a.kind = 'trader'
						  JOIN ledger.asset t ON t.asset_code = a.asset_code
						  LEFT JOIN ledger.position_value v ON v.book_id = h.book_id AND v.account_id = h.account_id
														   AND v.instrument_id = h.instrument_id
						 CROSS JOIN LATERAL (
							SELECT coalesce(sum(e.amount), 0) AS amount
							  FROM ledger.entry e
							 WHERE e.book_id = h.book_id AND e.slot = 0 AND e.account_id = h.account_id
							   AND e.posted_at >= payout.posted_at - payout.gainer_hold_window
							   AND e.period >= ((payout.posted_at - payout.gainer_hold_window) AT TIME ZONE 'UTC')::date
							   AND e.kind IN ('realized_pnl', 'settlement')
							   AND h.instrument_id = CASE e.kind
								   WHEN 'realized_pnl' THEN (SELECT t.instrument_id FROM ledger.trade t
															  WHERE t.book_id = e.book_id AND t.trade_id = e.cause)
								   ELSE (SELECT t.instrument_id FROM ledger.settlement t
										  WHERE t.book_id = e.book_id AND t.settlement_id = e.cause) END) r
						 WHERE (h.book_id::bigint << 32) + h.instrument_id = (watch.book_id::bigint << 32) + payout.instrument_id
						   AND h.account_id <> payout.loser AND a.status <> 'closed') g
				 WHERE g.gain > 0
				 -- who shares the owner of the one who lost first, then who gained most
				 ORDER BY (g.owner_id = payout.owner_id) IS TRUE DESC, g.gain DESC, g.account_id
			LOOP
				EXIT WHEN held_gains >= payout.amount;
				INSERT INTO ledger.hold (book_id, account_id, amount, purpose, expires_at)
				VALUES (watch.book_id, gainer.account_id, least(gainer.gain, payout.amount),
						format('the insurance fund paid %s for shortfall %s in instrument %s', payout.amount, payout.shortfall_id, payout.instrument_id),
						clock_timestamp() + payout.gainer_hold_duration)
				RETURNING hold_id INTO made;
				INSERT INTO ledger.gainer_hold (book_id, hold_id, account_id, shortfall_id, fund_account, instrument_id, gain, paid, covered_at)
				VALUES (watch.book_id, made, gainer.account_id, payout.shortfall_id, payout.payer_account, payout.instrument_id,
						gainer.gain, payout.amount, payout.covered_at);
				INSERT INTO ledger.event (book_id, account_id, kind, payload)
				VALUES (watch.book_id, gainer.account_id, 'gainer_hold',
						jsonb_build_object('hold_id', made, 'shortfall_id', payout.shortfall_id, 'instrument_id', payout.instrument_id,
										   'asset_code', payout.asset_code, 'amount', least(gainer.gain, payout.amount),
										   'expires_at', clock_timestamp() + payout.gainer_hold_duration,
										   'steps', jsonb_build_array('Nothing is to be done: the amount stays yours, and can be withdrawn when the insurance fund has what it paid, or the hold has expired.')));
				held_gains := held_gains + gainer.gain;
				changed := changed + 1;
			END LOOP;
		END LOOP;
		UPDATE ledger.gainer_watch w
		   SET reset_id = greatest(watch.reset_id, w.reset_id), payment_id = greatest(watch.payment_id, w.payment_id)
		 WHERE w.book_id = watch.book_id AND (w.reset_id, w.payment_id) IS DISTINCT FROM (watch.reset_id, watch.payment_id);
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
			jsonb_build_object('hold_id', held.hold_id, 'shortfall_id', held.shortfall_id, 'amount', least(held.gain, held.paid), 'reason', reason));
	RETURN released;
END
$function$;
COMMENT ON FUNCTION risk.release_gainer_as_posting(bigint, text, int) IS
	'What risk.release_gainer() does.';

CREATE FUNCTION risk.hold_gainers() RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'risk_hold_gainers';
COMMENT ON FUNCTION risk.hold_gainers() IS
	'Looks at what insurance funds have paid since it was last called, in every book, for losses in an instrument under a policy with a gainer_hold_window, and holds gains on the other side; returns how many holds it made and ended. Gain of an account: what it realised in the instrument since the window began, and what it has not realised, at the mark. Accounts of the owner who lost come first, then who gained most; each is held for the lesser of its gain and of what was paid, until the gains of those who are held reach what was paid. Until this has run after a payout, nobody who trades the instrument can take anything out (55000). A hold ends when the fund has again what it had before it paid, after gainer_hold_duration (risk.expire_holds()), or by risk.release_gainer(). It keeps money from being withdrawn, moved or used for new positions; losses are paid out of it as ever. Run by the background worker, or by cron.';

CREATE FUNCTION risk.release_gainer(hold_id bigint, reason text, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'risk_release_gainer';
COMMENT ON FUNCTION risk.release_gainer(bigint, text, int) IS
	'Ends a hold on a gainer before its time, and returns the release_id; NULL for a NULL argument. Errors: 22023 for a hold of another kind, or without a reason; 55000 for one that is not open.';

REVOKE ALL ON FUNCTION
	risk.create_gainer_tables(), risk.place_gainer_holds(), risk.release_gainer_as_posting(bigint, text, int),
	risk.hold_gainers(), risk.release_gainer(bigint, text, int)
FROM PUBLIC;
