-- notices.sql
--		Events as they are told: the order in which they are handed out, the
--		cursors of those who read them, and what they say in words.
--
-- ledger.event is an outbox.  Its numbers are given before the transactions
-- that write them commit, so a reader who remembers the last number would pass
-- over an event that commits late.  The relay gives each event that it sees
-- committed the next place in its book: places have no gaps, and an event that
-- commits late has a later one.

CREATE FUNCTION risk.create_notice_tables() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $function$
BEGIN
	CREATE INDEX IF NOT EXISTS event_transaction ON ledger.event (book_id, transaction_id);

	CREATE TABLE IF NOT EXISTS ledger.relayed_event (
		book_id int NOT NULL,
		place bigint NOT NULL CHECK (place > 0),
		event_id bigint NOT NULL,
		PRIMARY KEY (book_id, place),
		UNIQUE (book_id, event_id)
	);
	COMMENT ON TABLE ledger.relayed_event IS
		'The order in which the events of a book are handed out: 1, 2, 3 and so on, without gaps, as the relay saw them committed. Written by risk.relay_events(). Append-only.';
	COMMENT ON COLUMN ledger.relayed_event.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.relayed_event.place IS 'The place of the event, from 1.';
	COMMENT ON COLUMN ledger.relayed_event.event_id IS 'The event.';

	CREATE TABLE IF NOT EXISTS ledger.event_relay (
		book_id int PRIMARY KEY REFERENCES ledger.book,
		system_identifier bigint NOT NULL DEFAULT 0,
		unfinished xid8 NOT NULL DEFAULT '0'
	);
	COMMENT ON TABLE ledger.event_relay IS
		'Where the relay goes on, for each book. A row that is lost costs one look at all events.';
	COMMENT ON COLUMN ledger.event_relay.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.event_relay.system_identifier IS 'The cluster in which it ran; in another one, after a restore, transactions are numbered anew, and it looks at all events once.';
	COMMENT ON COLUMN ledger.event_relay.unfinished IS 'Every event of an older transaction has its place.';

	CREATE TABLE IF NOT EXISTS ledger.event_cursor (
		book_id int NOT NULL REFERENCES ledger.book,
		consumer text NOT NULL CHECK (consumer <> ''),
		place bigint NOT NULL CHECK (place >= 0),
		acknowledged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		who text NOT NULL DEFAULT session_user,
		PRIMARY KEY (book_id, consumer)
	) WITH (fillfactor = 50);
	COMMENT ON TABLE ledger.event_cursor IS
		'Up to where each consumer has dealt with the events of a book. Written by risk.acknowledge_events().';
	COMMENT ON COLUMN ledger.event_cursor.book_id IS 'The book.';
	COMMENT ON COLUMN ledger.event_cursor.consumer IS 'A name that the consumer chose.';
	COMMENT ON COLUMN ledger.event_cursor.place IS 'The place of the last event that it acknowledged.';
	COMMENT ON COLUMN ledger.event_cursor.acknowledged_at IS 'When.';
	COMMENT ON COLUMN ledger.event_cursor.who IS 'In whose session.';
END
$function$;
COMMENT ON FUNCTION risk.create_notice_tables() IS
	'Makes the tables by which events are handed out. Called by risk.install().';

CREATE FUNCTION risk.relay_events() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	cluster CONSTANT bigint := (SELECT c.system_identifier FROM pg_control_system() c);
	finished xid8;
	told record;
	relayed bigint := 0;
BEGIN
	-- nothing is written while there is nothing to do
	PERFORM FROM ledger.book b
	   LEFT JOIN ledger.event_relay r ON r.book_id = b.book_id AND r.system_identifier = cluster
	  WHERE EXISTS (SELECT FROM ledger.event e
					 WHERE e.book_id = b.book_id AND e.transaction_id >= coalesce(r.unfinished, '0'));
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	INSERT INTO ledger.event_relay (book_id)
	SELECT b.book_id FROM ledger.book b ORDER BY b.book_id
	ON CONFLICT DO NOTHING;
	-- One relay at a time.  What is finished by now, the next statement sees.
	PERFORM FROM ledger.event_relay r ORDER BY r.book_id FOR NO KEY UPDATE;
	finished := pg_snapshot_xmin(pg_current_snapshot());

	FOR told IN
		WITH placed AS (
			INSERT INTO ledger.relayed_event (book_id, place, event_id)
			SELECT r.book_id,
				   coalesce((SELECT max(d.place) FROM ledger.relayed_event d WHERE d.book_id = r.book_id), 0)
				   + row_number() OVER (PARTITION BY r.book_id ORDER BY e.event_id),
				   e.event_id
			  FROM ledger.event_relay r
			 CROSS JOIN LATERAL (
				SELECT e.event_id FROM ledger.event e
				 WHERE e.book_id = r.book_id
				   AND e.transaction_id >= CASE r.system_identifier WHEN cluster THEN r.unfinished ELSE '0' END
				   AND NOT EXISTS (SELECT FROM ledger.relayed_event d
									WHERE d.book_id = e.book_id AND d.event_id = e.event_id)
				OFFSET 0) e
			RETURNING book_id, place)
		SELECT p.book_id, max(p.place) AS place, count(*) AS events FROM placed p GROUP BY p.book_id ORDER BY p.book_id
	LOOP
		PERFORM pg_notify('risk_ext', jsonb_build_object('book_id', told.book_id, 'place', told.place)::text);
		relayed := relayed + told.events;
	END LOOP;

	UPDATE ledger.event_relay r
	   SET unfinished = finished, system_identifier = cluster
	 WHERE r.unfinished <> finished OR r.system_identifier <> cluster;
	RETURN relayed;
END
$function$;
COMMENT ON FUNCTION risk.relay_events() IS
	'Gives every event that has committed and has no place yet the next one in its book (ledger.relayed_event), tells channel risk_ext, one notification for each book: {"book_id": 1, "place": 57}, its last place, and returns how many events that were. A hint for those who LISTEN: who does not loses nothing, see risk.read_events(). The background worker runs it, or cron; in a transaction of its own, for a transaction that notifies cannot be prepared. Several may run it at once.';

CREATE FUNCTION risk.read_events(consumer text, book_id int DEFAULT 1, max_events int DEFAULT 100)
RETURNS TABLE (place bigint, event_id bigint, account_id bigint, posted_at timestamptz, kind text, payload jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
	SELECT d.place, e.event_id, e.account_id, e.posted_at, e.kind, e.payload
	  FROM (SELECT d.* FROM ledger.relayed_event d
			 WHERE d.book_id = $2
			   AND d.place > coalesce((SELECT c.place FROM ledger.event_cursor c
										WHERE c.book_id = $2 AND c.consumer = $1), 0)
			 ORDER BY d.place
			 LIMIT $3) d
	  JOIN ledger.event e ON e.book_id = d.book_id AND e.event_id = d.event_id
	 ORDER BY d.place
$function$;
COMMENT ON FUNCTION risk.read_events(text, int, int) IS
	'The events of a book that a consumer has not acknowledged, in their order, at most so many; a consumer that was never heard of begins with the first. It reads the same ones again until it acknowledges them: each event is delivered at least once, and what was done for it before a crash is to be recognised by book_id and event_id.';

CREATE FUNCTION risk.acknowledge_events(consumer text, place bigint, book_id int DEFAULT 1) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
	last CONSTANT bigint := coalesce((SELECT max(d.place) FROM ledger.relayed_event d
									   WHERE d.book_id = acknowledge_events.book_id), 0);
	reached bigint;
BEGIN
	IF coalesce(acknowledge_events.consumer, '') = '' OR acknowledge_events.place IS NULL
		OR acknowledge_events.place NOT BETWEEN 0 AND last
		OR NOT EXISTS (SELECT FROM ledger.book b WHERE b.book_id = acknowledge_events.book_id) THEN
		RAISE EXCEPTION 'consumer "%" cannot have dealt with place % of book %', consumer, place, book_id
			USING ERRCODE = '22023', DETAIL = format('The last place of the book is %s.', last),
				  HINT = 'Name yourself, and a place that risk.read_events() returned.';
	END IF;
	INSERT INTO ledger.event_cursor AS c (book_id, consumer, place)
	VALUES (acknowledge_events.book_id, acknowledge_events.consumer, acknowledge_events.place)
	ON CONFLICT ON CONSTRAINT event_cursor_pkey DO UPDATE
	SET place = greatest(c.place, excluded.place), acknowledged_at = excluded.acknowledged_at, who = excluded.who
	RETURNING c.place INTO reached;
	RETURN reached;
END
$function$;
COMMENT ON FUNCTION risk.acknowledge_events(text, bigint, int) IS
	'Notes that a consumer has dealt with the events of a book up to that place, and returns the place that it has reached: a lower one than before changes nothing. Consumers do not know of each other. Errors: 22023 for a place that no event has yet, an empty name or an unknown book.';

CREATE FUNCTION risk.check_events(book_id int DEFAULT NULL)
RETURNS TABLE (check_name text, violations bigint, first_offender text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $function$
#variable_conflict use_column
BEGIN
	-- Places without gaps, each with an event; nobody has read what is not there.
	RETURN QUERY
	SELECT 'relayed_events', coalesce(max(v.n), 0), max(v.offender)
	  FROM (SELECT count(*) OVER () AS n, format('book %s, %s', f.book_id, f.fault) AS offender
			  FROM (SELECT d.book_id, d.place,
						   CASE WHEN d.place <> row_number() OVER (PARTITION BY d.book_id ORDER BY d.place)
								THEN format('place %s: the one before it is missing', d.place)
								WHEN e.event_id IS NULL THEN format('place %s: event %s is missing', d.place, d.event_id)
						   END AS fault
					  FROM ledger.relayed_event d
					  LEFT JOIN ledger.event e ON e.book_id = d.book_id AND e.event_id = d.event_id
					 WHERE check_events.book_id IS NULL OR d.book_id = check_events.book_id
					UNION ALL
					SELECT c.book_id, c.place, format('consumer "%s": place %s is beyond the last', c.consumer, c.place)
					  FROM ledger.event_cursor c
					 WHERE c.place > coalesce((SELECT max(d.place) FROM ledger.relayed_event d WHERE d.book_id = c.book_id), 0)
					   AND (check_events.book_id IS NULL OR c.book_id = check_events.book_id)) f
			 WHERE f.fault IS NOT NULL
			 ORDER BY f.book_id, f.place, f.fault
			 LIMIT 1) v;
END
$function$;
COMMENT ON FUNCTION risk.check_events(int) IS
	'What risk.verify() says of the order of events, of one book or all.';

REVOKE ALL ON FUNCTION
	risk.create_notice_tables(), risk.relay_events(), risk.read_events(text, int, int),
	risk.acknowledge_events(text, bigint, int)
FROM PUBLIC;
