/*
 * transfer.c
 *		Posts the rows that a statement inserted into the transfer table, and
 *		opens the balances of new accounts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "idempotency.h"
#include "margin.h"
#include "posting.h"
#include "valuation.h"

PG_FUNCTION_INFO_V1(risk_post_transfers);
PG_FUNCTION_INFO_V1(risk_open_balances);

typedef struct TransferRow
{
	int32		book_id;
	int64		transfer_id;
	int64		from_account;
	int64		to_account;
	TimestampTz effective_at;
	Numeric		amount;
	char	   *kind;
	char	   *idempotency_key;	/* or NULL */
	char	   *who;
	DateADT		period;
} TransferRow;

static const LedgerStatement read_transfer = {
	"SELECT t.from_account::text, t.to_account::text, trim_scale(t.amount)::text, t.kind"
	" FROM {transfer} t WHERE t.book_id = $1 AND t.transfer_id = $2",
	2, {INT4OID, INT8OID}
};

/* effective_at has a default, which nobody can tell from what a caller chose */
static const KeyedTable keyed_transfers = {
	"transfer", {"from_account", "to_account", "amount", "kind"}, &read_transfer
};

/* the first of these kinds of transfer that may not go between these kinds of account */
static const LedgerStatement read_forbidden = {
	"SELECT u.place FROM unnest($1, $2, $3) WITH ORDINALITY AS u(kind, from_kind, to_kind, place)"
	" WHERE (SELECT r.allowed FROM {transfer_rule} r"
	"  WHERE r.kind = u.kind AND r.from_kind = u.from_kind AND r.to_kind = u.to_kind"
	"  ORDER BY r.version DESC LIMIT 1) IS NOT TRUE"
	" ORDER BY u.place LIMIT 1",
	3, {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
};

static const LedgerStatement insert_balances = {
	"INSERT INTO {balance} (book_id, account_id, floor)"
	" SELECT $1, u.account_id, risk.initial_floor(u.kind)"
	" FROM unnest($2, $3) AS u(account_id, kind)",
	3, {INT4OID, INT8ARRAYOID, TEXTARRAYOID}
};

static void
fill_transfer(void *row, const Datum *value, const bool *isnull)
{
	TransferRow *transfer = row;

	transfer->book_id = DatumGetInt32(value[0]);
	transfer->transfer_id = DatumGetInt64(value[1]);
	transfer->from_account = DatumGetInt64(value[2]);
	transfer->to_account = DatumGetInt64(value[3]);
	transfer->effective_at = DatumGetTimestampTz(value[4]);
	transfer->amount = DatumGetNumericCopy(value[5]);
	transfer->kind = TextDatumGetCString(value[6]);
	transfer->idempotency_key = isnull[7] ? NULL : TextDatumGetCString(value[7]);
	transfer->who = TextDatumGetCString(value[8]);
	transfer->period = DatumGetDateADT(value[9]);
}

static const RowReader transfer_reader = {
	{"book_id", "transfer_id", "from_account", "to_account", "effective_at", "amount", "kind",
	"idempotency_key", "who", "period"},
	sizeof(TransferRow), fill_transfer
};

static KeyedRow
keyed_transfer(TransferRow *transfer)
{
	return (KeyedRow)
	{
		.key = transfer->idempotency_key,
			.id = transfer->transfer_id,
			.fields = {
			canonical_int64(transfer->from_account), canonical_int64(transfer->to_account),
			canonical_number(transfer->amount), transfer->kind
		}
	};
}

static void
take_keys(Wiring *wiring, int32 book_id, TransferRow **transfers, int n)
{
	KeyedRow   *rows;
	int			given = 0;

	for (int i = 0; i < n; i++)
		given += transfers[i]->idempotency_key != NULL;
	if (given == 0)
		return;
	rows = palloc_extended(sizeof(KeyedRow) * given, MCXT_ALLOC_HUGE);
	given = 0;
	for (int i = 0; i < n; i++)
		if (transfers[i]->idempotency_key != NULL)
			rows[given++] = keyed_transfer(transfers[i]);
	idempotency_take(wiring, book_id, &keyed_transfers, rows, given);
}

/* The account of one end of a transfer, checked against the other. */
static LedgerAccount *
end_of_transfer(Posting *posting, TransferRow *transfer, int64 account_id)
{
	LedgerAccount *account = posting_account(posting, account_id);

	if (account == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("transfer " INT64_FORMAT ": unknown account", transfer->transfer_id),
				 errdetail("Book %d has no account " INT64_FORMAT ".", transfer->book_id, account_id),
				 errhint("Insert it into the table account first.")));
	if (account->kind == ACCOUNT_CLEARING)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transfer " INT64_FORMAT ": account " INT64_FORMAT " is a clearing account",
						transfer->transfer_id, account_id),
				 errdetail("Its balance is what open positions have cost, and trades alone change it."),
				 errhint("Use an account of another kind, such as house or suspense.")));
	if (account->status == STATUS_CLOSED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("transfer " INT64_FORMAT ": account " INT64_FORMAT " is closed",
						transfer->transfer_id, account_id),
				 errdetail("Nothing can be posted to a closed account."),
				 errhint("Set its status to active first, or use another account.")));
	return account;
}

static void
check_transfer(Posting *posting, TransferRow *transfer)
{
	LedgerAccount *from = end_of_transfer(posting, transfer, transfer->from_account);
	LedgerAccount *to = end_of_transfer(posting, transfer, transfer->to_account);

	if (from == to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transfer " INT64_FORMAT ": from and to are the same account",
						transfer->transfer_id),
				 errdetail("Both are account " INT64_FORMAT ".", from->account_id),
				 errhint("Name two accounts.")));
	if (strcmp(from->asset_code, to->asset_code) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transfer " INT64_FORMAT ": the accounts hold different assets",
						transfer->transfer_id),
				 errdetail("Account " INT64_FORMAT " holds %s, account " INT64_FORMAT " holds %s.",
						   from->account_id, from->asset_code, to->account_id, to->asset_code),
				 errhint("An exchange is two transfers, one in each asset.")));
	if (strcmp(transfer->who, GetUserNameFromId(GetSessionUserId(), false)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transfer " INT64_FORMAT ": \"%s\" is not who inserts it",
						transfer->transfer_id, transfer->who),
				 errdetail("The session is that of \"%s\".", GetUserNameFromId(GetSessionUserId(), false)),
				 errhint("Leave the column out.")));
	check_period("transfer", transfer->transfer_id, transfer->period);
	check_number("transfer", transfer->transfer_id, "amount", transfer->amount, from->scale,
				 NUMBER_POSITIVE);
	if (from->status == STATUS_FROZEN && entry_class(transfer->kind) == CLASS_CHOICE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("transfer " INT64_FORMAT ": account " INT64_FORMAT " is frozen",
						transfer->transfer_id, from->account_id),
				 errdetail("Nothing can be withdrawn or moved out of a frozen account."),
				 errhint("Set its status to active first.")));
}

/*
 * Whether each transfer may go between accounts of these kinds is data, read
 * once for a statement: each of the few combinations that come up in it.
 */
static void
check_rules(Wiring *wiring, Posting *posting, TransferRow **transfers, int n)
{
	int		   *firsts = palloc(sizeof(int) * n);	/* transfer that a combination came up in first */
	Datum	   *columns[3];
	Datum		values[3];
	int			combinations = 0;

	for (int c = 0; c < 3; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		AccountKind from = posting_account(posting, transfers[i]->from_account)->kind;
		AccountKind to = posting_account(posting, transfers[i]->to_account)->kind;
		int			c = 0;

		while (c < combinations &&
			   (posting_account(posting, transfers[firsts[c]]->from_account)->kind != from ||
				posting_account(posting, transfers[firsts[c]]->to_account)->kind != to ||
				strcmp(transfers[firsts[c]]->kind, transfers[i]->kind) != 0))
			c++;
		if (c < combinations)
			continue;
		firsts[combinations] = i;
		columns[0][combinations] = CStringGetTextDatum(transfers[i]->kind);
		columns[1][combinations] = CStringGetTextDatum(account_kind_name(from));
		columns[2][combinations] = CStringGetTextDatum(account_kind_name(to));
		combinations++;
	}
	for (int c = 0; c < 3; c++)
		values[c] = array_argument(columns[c], NULL, combinations, TEXTOID);
	wiring_read(wiring, &read_forbidden, values, LEDGER_LATEST);
	if (SPI_processed > 0)
	{
		TransferRow *transfer = transfers[firsts[result_int64(0, 1) - 1]];

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transfer " INT64_FORMAT ": a %s from %s to %s is not allowed", transfer->transfer_id,
						transfer->kind,
						account_kind_name(posting_account(posting, transfer->from_account)->kind),
						account_kind_name(posting_account(posting, transfer->to_account)->kind)),
				 errdetail("It would be from account " INT64_FORMAT " to account " INT64_FORMAT " of book %d.",
						   transfer->from_account, transfer->to_account, transfer->book_id),
				 errhint("Table transfer_rule says what is allowed; use another kind, or an account of the venue, see risk.system_account().")));
	}
}

/*
 * Lock what the transfers write: traders are locked already, system accounts
 * get a slot, or pass the gate where money leaves a floor or a position holder.
 */
static void
open_system_accounts(Posting *posting, TransferRow **transfers, int n)
{
	LedgerAccount **gated = palloc(sizeof(LedgerAccount *) * n * 2);
	LedgerAccount **others = palloc(sizeof(LedgerAccount *) * n * 2);
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(int64), .hcxt = CurrentMemoryContext};
	HTAB	   *seen = hash_create("accounts seen", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	int			ngated = 0;
	int			nothers = 0;

	/* gated ones first, so that no credit of the same account takes a slot */
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < n * 2; i++)
		{
			bool		debited = i % 2 == 0;
			LedgerAccount *account = posting_account(posting, debited ?
													 transfers[i / 2]->from_account : transfers[i / 2]->to_account);
			bool		gate = account_kind_is_gated(account->kind) &&
				(debited || account->kind != ACCOUNT_INSURANCE_FUND);
			bool		found;

			if (account->kind == ACCOUNT_TRADER || gate != (pass == 0))
				continue;
			hash_search(seen, &account->account_id, HASH_ENTER, &found);
			if (found)
				continue;
			if (gate)
				gated[ngated++] = account;
			else
				others[nothers++] = account;
		}
	posting_take_slots(posting, others, nothers);
	if (ngated > 0)
		posting_pass_gate(posting, gated, ngated);
}

/* The requirements of the accounts that money is taken from by choice. */
static Requirements *
read_requirements(Wiring *wiring, Posting *posting, int32 book_id, TransferRow **transfers, int n)
{
	int64	   *ids = palloc(sizeof(int64) * n);
	int			nids = 0;

	for (int i = 0; i < n; i++)
	{
		LedgerAccount *from = posting_account(posting, transfers[i]->from_account);

		if (from->floor != NULL && entry_class(transfers[i]->kind) == CLASS_CHOICE)
			ids[nids++] = from->account_id;
	}
	return nids == 0 ? NULL : requirements_read(wiring, book_id, ids, nids, true);
}

/* Refuse a transfer that takes more out of an account than it can spare. */
static void
check_choice(Posting *posting, Requirements *requirements, TransferRow *transfer)
{
	LedgerAccount *from = posting_account(posting, transfer->from_account);
	Requirement *requirement = NULL;
	Numeric		balance;
	Numeric		spare;

	if (requirements != NULL && entry_class(transfer->kind) == CLASS_CHOICE)
		requirement = requirement_of_account(requirements, transfer->from_account);
	if (requirement == NULL)
		return;
	balance = from->kind == ACCOUNT_TRADER ? from->amount : posting_total(posting, from);
	spare = margin_withdrawable(decimal_subtract(balance, from->floor),
								requirement->unrealized_pnl, requirement->initial_margin,
								requirement->order_reserve, decimal_from_int64(0), false);
	if (decimal_compare(transfer->amount, spare) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("transfer " INT64_FORMAT ": account " INT64_FORMAT " of book %d cannot spare %s %s",
						transfer->transfer_id, from->account_id, transfer->book_id,
						decimal_to_cstring(transfer->amount), from->asset_code),
				 errdetail("It can spare %s: balance %s, floor %s, unrealized profit %s, initial margin %s%s%s.",
						   decimal_to_cstring(spare), decimal_to_cstring(balance),
						   decimal_to_cstring(from->floor),
						   decimal_to_cstring(requirement->unrealized_pnl),
						   decimal_to_cstring(requirement->initial_margin),
						   decimal_sign(requirement->order_reserve) == 0 ? "" : ", reserved for orders ",
						   decimal_sign(requirement->order_reserve) == 0 ? "" :
						   decimal_to_cstring(requirement->order_reserve)),
				 decimal_sign(requirement->order_reserve) == 0 ?
				 errhint("Move less, or close positions first.") :
				 errhint("Move less, or close positions or cancel orders first.")));
}

static void
post_transfers_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	TransferRow **transfers = (TransferRow **) rows;
	Posting    *posting = posting_begin(wiring, book_id);
	int64	   *account_ids = palloc(sizeof(int64) * n * 2);
	Requirements *requirements;

	take_keys(wiring, book_id, transfers, n);
	for (int i = 0; i < n; i++)
	{
		account_ids[i * 2] = transfers[i]->from_account;
		account_ids[i * 2 + 1] = transfers[i]->to_account;
	}
	posting_open(posting, account_ids, n * 2);
	for (int i = 0; i < n; i++)
		check_transfer(posting, transfers[i]);
	check_rules(wiring, posting, transfers, n);
	open_system_accounts(posting, transfers, n);
	requirements = read_requirements(wiring, posting, book_id, transfers, n);

	for (int i = 0; i < n; i++)
	{
		TransferRow *transfer = transfers[i];

		check_choice(posting, requirements, transfer);
		posting_post(posting, posting_account(posting, transfer->from_account),
					 decimal_negate(transfer->amount), transfer->kind,
					 transfer->transfer_id, transfer->effective_at);
		posting_post(posting, posting_account(posting, transfer->to_account),
					 transfer->amount, transfer->kind,
					 transfer->transfer_id, transfer->effective_at);
	}
	posting_write(posting);
}

/*
 * risk.post_transfers()
 *		Trigger on transfer, AFTER INSERT FOR EACH STATEMENT.
 */
Datum
risk_post_transfers(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger(fcinfo, "risk.post_transfers");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_TRANSFER);
	int			n;
	TransferRow *transfers = transition_rows(trigger, &transfer_reader, &n, NULL);

	post_by_book(wiring, &transfer_reader, transfers, n, post_transfers_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}

typedef struct AccountRow
{
	int32		book_id;
	Datum		account_id;
	Datum		kind;
} AccountRow;

static void
fill_account(void *row, const Datum *value, const bool *isnull pg_attribute_unused())
{
	AccountRow *account = row;

	account->book_id = DatumGetInt32(value[0]);
	account->account_id = value[1];
	account->kind = PointerGetDatum(DatumGetTextPCopy(value[2]));
}

static const RowReader account_reader = {
	{"book_id", "account_id", "kind"}, sizeof(AccountRow), fill_account
};

static void
open_balances_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	Datum	   *ids = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum	   *kinds = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	Datum		values[3] = {Int32GetDatum(book_id)};

	for (int i = 0; i < n; i++)
	{
		AccountRow *account = rows[i];

		ids[i] = account->account_id;
		kinds[i] = account->kind;
	}
	values[1] = array_argument(ids, NULL, n, INT8OID);
	values[2] = array_argument(kinds, NULL, n, TEXTOID);
	wiring_write(wiring, &insert_balances, values);
}

/*
 * risk.open_balances()
 *		Trigger on account, AFTER INSERT FOR EACH STATEMENT.
 */
Datum
risk_open_balances(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger(fcinfo, "risk.open_balances");
	Wiring	   *wiring = wiring_enter(trigger->tg_relation, LEDGER_ACCOUNT);
	int			n;
	AccountRow *accounts = transition_rows(trigger, &account_reader, &n, NULL);

	post_by_book(wiring, &account_reader, accounts, n, open_balances_of_book);
	wiring_leave(wiring);
	return PointerGetDatum(NULL);
}
