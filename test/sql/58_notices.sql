-- Events, in the order in which they are handed out: places without gaps, one
-- cursor for each consumer, everything at least once.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(5800, 'notices');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (5800, 'instrument of 5800', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (5800, 100);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (5800, 1, 'USDT', 'alice'), (5800, 2, 'USDT', 'bob');
SELECT FROM risk.deposit(1, 100, 5800);
SELECT FROM risk.deposit(2, 1000, 5800);

-- Posting writes events and tells nobody: they have no place before the relay ran.
UPDATE ledger.account SET status = 'reduce_only' WHERE book_id = 5800 AND account_id = 1;
UPDATE ledger.account SET status = 'active' WHERE book_id = 5800 AND account_id = 1;
SELECT * FROM risk.read_events('mailer', 5800);
SELECT risk.relay_events() >= 2 AS relayed;
SELECT risk.relay_events() AS relayed_again;
SELECT place, account_id, kind, payload ->> 'status' AS status FROM risk.read_events('mailer', 5800);

-- They are read again until they are acknowledged.
SELECT place FROM risk.read_events('mailer', 5800, 1);
SELECT place FROM risk.read_events('mailer', 5800, 1);
SELECT risk.acknowledge_events('mailer', 1, 5800);
SELECT place FROM risk.read_events('mailer', 5800);
-- Another consumer has a cursor of its own.
SELECT place FROM risk.read_events('archive', 5800);
SELECT risk.acknowledge_events('archive', 2, 5800);
SELECT place FROM risk.read_events('mailer', 5800);
-- A cursor does not go back.
SELECT risk.acknowledge_events('archive', 1, 5800);
SELECT consumer, place FROM ledger.event_cursor WHERE book_id = 5800 ORDER BY consumer;

-- A loss of 140 with 100 to pay it: the reset says who paid how much, and
-- nobody was listening.
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5800, 58001, 1, 5800, 'buy', 10, 100), (5800, 58001, 2, 5800, 'sell', 10, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (5800, 58002, 1, 5800, 'sell', 10, 86), (5800, 58002, 2, 5800, 'buy', 10, 86);
SELECT risk.relay_events() >= 1 AS relayed;
SELECT place, account_id, kind, payload ->> 'stage' AS stage, payload ->> 'amount' AS amount, payload ->> 'asset_code' AS asset_code
  FROM risk.read_events('archive', 5800);

-- What cannot be.
SELECT risk.acknowledge_events('archive', 4, 5800);
SELECT risk.acknowledge_events('archive', NULL, 5800);
SELECT risk.acknowledge_events('', 1, 5800);
SELECT risk.acknowledge_events('archive', 0, 58000);
UPDATE ledger.relayed_event SET place = 9 WHERE book_id = 5800 AND place = 3;
DELETE FROM ledger.relayed_event WHERE book_id = 5800;
TRUNCATE ledger.relayed_event;

-- Where the relay stood can be lost: it looks at all events once, and each keeps its place.
BEGIN;
DELETE FROM ledger.event_relay;
SELECT risk.relay_events() AS relayed_again;
ROLLBACK;
-- After a restore transactions are numbered anew, below those that the rows name.
BEGIN;
UPDATE ledger.event_relay SET unfinished = '9000000000000', system_identifier = 1 WHERE book_id = 5800;
INSERT INTO ledger.event (book_id, kind) VALUES (5800, 'after a restore');
SELECT risk.relay_events() AS relayed;
SELECT place, kind FROM risk.read_events('archive', 5800) ORDER BY place DESC LIMIT 1;
ROLLBACK;

-- The proof knows a place that is missing, and a cursor that is beyond all of them.
SELECT * FROM risk.check_events(5800);
BEGIN;
ALTER TABLE ledger.relayed_event DISABLE TRIGGER USER;
DELETE FROM ledger.relayed_event WHERE book_id = 5800 AND place = 2;
SELECT * FROM risk.check_events(5800);
UPDATE ledger.relayed_event SET place = 2 WHERE book_id = 5800 AND place = 3;
SELECT * FROM risk.check_events(5800);
UPDATE ledger.event_cursor SET place = 7 WHERE book_id = 5800;
SELECT * FROM risk.check_events(5800);
ROLLBACK;
SELECT * FROM risk.verify(5800) WHERE violations > 0;
