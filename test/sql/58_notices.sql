-- Events, in the order in which they are handed out: places without gaps, one
-- cursor for each consumer, everything at least once.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
INSERT INTO ledger.asset VALUES ('USDT', 2) ON CONFLICT DO NOTHING;
SELECT risk.create_book(581, 'notices');
INSERT INTO ledger.instrument (instrument_id, symbol, settle_asset) VALUES (580, 'instrument of 581', 'USDT');
INSERT INTO ledger.mark_price (instrument_id, price) VALUES (580, 100);
INSERT INTO ledger.account (book_id, account_id, asset_code, owner_id)
VALUES (581, 1, 'USDT', 'alice'), (581, 2, 'USDT', 'bob');
SELECT FROM risk.deposit(1, 100, 581);
SELECT FROM risk.deposit(2, 1000, 581);

-- Posting writes events and tells nobody: they have no place before the relay ran.
UPDATE ledger.account SET status = 'reduce_only' WHERE book_id = 581 AND account_id = 1;
UPDATE ledger.account SET status = 'active' WHERE book_id = 581 AND account_id = 1;
SELECT * FROM risk.read_events('mailer', 581);
SELECT risk.relay_events() >= 2 AS relayed;
SELECT risk.relay_events() AS relayed_again;
SELECT place, account_id, kind, payload ->> 'status' AS status FROM risk.read_events('mailer', 581);

-- They are read again until they are acknowledged.
SELECT place FROM risk.read_events('mailer', 581, 1);
SELECT place FROM risk.read_events('mailer', 581, 1);
SELECT risk.acknowledge_events('mailer', 1, 581);
SELECT place FROM risk.read_events('mailer', 581);
-- Another consumer has a cursor of its own.
SELECT place FROM risk.read_events('archive', 581);
SELECT risk.acknowledge_events('archive', 2, 581);
SELECT place FROM risk.read_events('mailer', 581);
-- A cursor does not go back.
SELECT risk.acknowledge_events('archive', 1, 581);
SELECT consumer, place FROM ledger.event_cursor WHERE book_id = 581 ORDER BY consumer;

-- A loss of 140 with 100 to pay it: the reset says who paid how much, and
-- nobody was listening.
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (581, 581, 1, 580, 'buy', 10, 100), (581, 581, 2, 580, 'sell', 10, 100);
INSERT INTO ledger.trade (book_id, execution_id, account_id, instrument_id, side, qty, price)
VALUES (581, 582, 1, 580, 'sell', 10, 86), (581, 582, 2, 580, 'buy', 10, 86);
SELECT risk.relay_events() >= 1 AS relayed;
SELECT place, account_id, kind, payload ->> 'stage' AS stage, payload ->> 'amount' AS amount, payload ->> 'asset_code' AS asset_code
  FROM risk.read_events('archive', 581);

-- What cannot be.
SELECT risk.acknowledge_events('archive', 4, 581);
SELECT risk.acknowledge_events('archive', NULL, 581);
SELECT risk.acknowledge_events('', 1, 581);
SELECT risk.acknowledge_events('archive', 0, 5858);
UPDATE ledger.relayed_event SET place = 9 WHERE book_id = 581 AND place = 3;
DELETE FROM ledger.relayed_event WHERE book_id = 581;
TRUNCATE ledger.relayed_event;

-- Where the relay stood can be lost: it looks at all events once, and each keeps its place.
BEGIN;
DELETE FROM ledger.event_relay;
SELECT risk.relay_events() AS relayed_again;
ROLLBACK;
-- After a restore transactions are numbered anew, below those that the rows name.
BEGIN;
UPDATE ledger.event_relay SET unfinished = '9000000000000', system_identifier = 1 WHERE book_id = 581;
INSERT INTO ledger.event (book_id, kind) VALUES (581, 'after a restore');
SELECT risk.relay_events() AS relayed;
SELECT place, kind FROM risk.read_events('archive', 581) ORDER BY place DESC LIMIT 1;
ROLLBACK;

-- The proof knows a place that is missing, and a cursor that is beyond all of them.
SELECT * FROM risk.check_events(581);
BEGIN;
ALTER TABLE ledger.relayed_event DISABLE TRIGGER USER;
DELETE FROM ledger.relayed_event WHERE book_id = 581 AND place = 2;
SELECT * FROM risk.check_events(581);
UPDATE ledger.relayed_event SET place = 2 WHERE book_id = 581 AND place = 3;
SELECT * FROM risk.check_events(581);
UPDATE ledger.event_cursor SET place = 7 WHERE book_id = 581;
SELECT * FROM risk.check_events(581);
ROLLBACK;
SELECT * FROM risk.verify(581) WHERE violations > 0;
