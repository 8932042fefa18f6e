/*
 * transfer.c
 *		Posts the rows that a statement inserted into the transfer table, and
 *		opens the balances of new accounts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "margin.h"
#include "open_hold.h"
#include "payout.h"
#include "recourse.h"
#include "transfer.h"

PG_FUNCTION_INFO_V1(risk_post_transfers);
PG_FUNCTION_INFO_V1(risk_open_balances);

static const LedgerStatement read_transfer = {
	"SELECT t.from_account::text, t.to_account::text, trim_scale(t.amount)::text, t.kind, t.hold_id::text"
	" FROM {transfer} t WHERE t.book_id = $1 AND t.transfer_id = $2",
	2, {INT4OID, INT8OID}
};

/* keyed_transfer: the row as its key sees it */
KeyedRow
keyed_transfer(const void *row)
{
	const TransferRow *transfer = row;

	if (transfer->idempotency_key == NULL)
		return (KeyedRow) {0};
	return (KeyedRow)
	{
		.key = transfer->idempotency_key,
			.id = transfer->transfer_id,
			.fields = {
			canonical_int64(transfer->from_account), canonical_int64(transfer->to_account),
			canonical_number(transfer->amount), transfer->kind,
			transfer->hold_id == 0 ? NULL : canonical_int64(transfer->hold_id)
		}
	};
}

/* effective_at has a default, which nobody can tell from what a caller chose */
const KeyedTable keyed_transfers = {
	"transfer", {"from_account", "to_account", "amount", "kind", "hold_id"},
	keyed_transfer, &read_transfer
};

static const HotLayout rule_layout = {
	.nkey = 4, .ncolumns = 5,
	.columns = {
		{"kind", TEXTOID}, {"from_kind", TEXTOID}, {"to_kind", TEXTOID}, {"version", INT4OID}, {"allowed", BOOLOID}
	}
};

/* the rule in force for a kind of transfer between two kinds of account */
static const LedgerStatement read_rule = {
	"SELECT r.allowed FROM {transfer_rule} r"
	" WHERE r.kind = $1 AND r.from_kind = $2 AND r.to_kind = $3"
	" ORDER BY r.version DESC LIMIT 1",
	3, {TEXTOID, TEXTOID, TEXTOID}
};

static const LedgerStatement read_open_debt = {
	"SELECT FROM {schema}.debt d WHERE d.book_id = $1 AND d.account_id = $2 AND d.settled_at IS NULL",
	2, {INT4OID, INT8OID}
};

static const LedgerStatement read_on_suspense = {
	"SELECT o.asset_code, count(*), sum(o.remaining) FROM {open_shortfall} o WHERE o.book_id = $1 GROUP BY o.asset_code",
	1, {INT4OID}
};

static const LedgerStatement insert_transfers = {
	"INSERT INTO {transfer} (book_id, transfer_id, from_account, to_account, amount, kind,"
	"  idempotency_key, effective_at) OVERRIDING SYSTEM VALUE"
	" SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7, $8)",
	8, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TIMESTAMPTZARRAYOID}
};

/* The rows that insert_posted_transfers() is inserting: the first, and how many. */
static int64 posted_transfer_id = 0;
static int	posted_transfers = 0;

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
	transfer->hold_id = isnull[10] ? 0 : DatumGetInt64(value[10]);
}

static const RowReader transfer_reader = {
	{"book_id", "transfer_id", "from_account", "to_account", "effective_at", "amount", "kind",
	"idempotency_key", "who", "period", "hold_id"},
	sizeof(TransferRow), fill_transfer
};

/* Whether a fault of a transfer is an error; of one that is judged it is the result. */
static bool
raises(TransferRow *transfer, TransferResult fault)
{
	if (transfer->judged && transfer->result == TRANSFER_ACCEPTED)
		transfer->result = fault;
	return !transfer->judged;
}

static const char *
table_of(const TransferRow *transfer)
{
	return transfer->table != NULL ? transfer->table : "transfer";
}

/* end_of_transfer: the account of one end, or NULL for an unknown one of a transfer that is judged */
LedgerAccount *
end_of_transfer(Posting *posting, TransferRow *transfer, int64 account_id)
{
	LedgerAccount *account = posting_account(posting, account_id);

	if (account == NULL && raises(transfer, TRANSFER_UNKNOWN_ACCOUNT))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("%s " INT64_FORMAT ": unknown account", table_of(transfer), transfer->transfer_id),
				 errdetail("Book %d has no account " INT64_FORMAT ".", transfer->book_id, account_id),
				 errhint("Insert it into the table account first.")));
	if (account == NULL)
		return NULL;
	if (account->kind == ACCOUNT_CLEARING && raises(transfer, TRANSFER_WRONG_ACCOUNT))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s " INT64_FORMAT ": account " INT64_FORMAT " is a clearing account",
						table_of(transfer), transfer->transfer_id, account_id),
				 errdetail("Its balance is what open positions have cost, and trades alone change it."),
				 errhint("Use an account of another kind, such as house or suspense.")));
	if (account->status == STATUS_CLOSED && raises(transfer, TRANSFER_CLOSED))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s " INT64_FORMAT ": account " INT64_FORMAT " is closed",
						table_of(transfer), transfer->transfer_id, account_id),
				 errdetail("Nothing can be posted to a closed account."),
				 errhint("Set its status to active first, or use another account.")));
	return account;
}

/* check_writer: who inserts a row, and on which day, is not the caller's to say */
void
check_writer(TransferRow *transfer)
{
	if (strcmp(transfer->who, GetUserNameFromId(GetSessionUserId(), false)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s " INT64_FORMAT ": \"%s\" is not who inserts it",
						table_of(transfer), transfer->transfer_id, transfer->who),
				 errdetail("The session is that of \"%s\".", GetUserNameFromId(GetSessionUserId(), false)),
				 errhint("Leave the column out.")));
	check_period(table_of(transfer), transfer->transfer_id, transfer->period);
}

/* check_may_give: by choice nothing leaves an account that is frozen or in liquidation */
void
check_may_give(TransferRow *transfer, LedgerAccount *from)
{
	bool		is_frozen = from->status == STATUS_FROZEN;

	if ((is_frozen || from->status == STATUS_LIQUIDATING) && entry_class(transfer->kind) == CLASS_CHOICE &&
		raises(transfer, is_frozen ? TRANSFER_FROZEN : TRANSFER_LIQUIDATING))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s " INT64_FORMAT ": account " INT64_FORMAT " is %s",
						table_of(transfer), transfer->transfer_id, from->account_id,
						account_status_name(from->status)),
				 is_frozen ?
				 errdetail("Nothing can be withdrawn or moved out of a frozen account.") :
				 errdetail("Nothing can be withdrawn or moved out of an account while it is liquidated."),
				 is_frozen ?
				 errhint("See ledger.freeze: a debt's ends when what is due is paid, others are lifted.") :
				 errhint("Try again when the liquidation is over.")));
}

static bool
owes(Wiring *wiring, const LedgerAccount *account, int32 book_id)
{
	Datum		values[2] = {Int32GetDatum(book_id), Int64GetDatum(account->account_id)};

	wiring_read(wiring, &read_open_debt, values, LEDGER_LATEST);
	return SPI_processed > 0;
}

/*
 * check_may_get
 *		By choice nothing comes to an account that is closing, but for what its
 *		child gives back (from; NULL: nobody in particular), and a deposit that
 *		pays a debt.
 */
void
check_may_get(Wiring *wiring, TransferRow *transfer, const LedgerAccount *from, LedgerAccount *to)
{
	if (to->status != STATUS_CLOSING || entry_class(transfer->kind) != CLASS_CHOICE ||
		(from != NULL && from->parent_id == to->account_id) ||
		(strcmp(transfer->kind, "deposit") == 0 && owes(wiring, to, transfer->book_id)) ||
		!raises(transfer, TRANSFER_CLOSING))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s " INT64_FORMAT ": account " INT64_FORMAT " is closing",
					table_of(transfer), transfer->transfer_id, to->account_id),
			 errdetail("Nothing is paid into an account that is about to be closed."),
			 errhint("Set its status to active first, or use another account.")));
}

/* check_transfer: all that can be said of one before another is posted */
void
check_transfer(Wiring *wiring, Posting *posting, TransferRow *transfer)
{
	LedgerAccount *from = end_of_transfer(posting, transfer, transfer->from_account);
	LedgerAccount *to = end_of_transfer(posting, transfer, transfer->to_account);

	if (from == NULL || to == NULL)
		return;
	if (from == to && raises(transfer, TRANSFER_SAME_ACCOUNT))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transfer " INT64_FORMAT ": from and to are the same account",
						transfer->transfer_id),
				 errdetail("Both are account " INT64_FORMAT ".", from->account_id),
				 errhint("Name two accounts.")));
	if (strcmp(from->asset_code, to->asset_code) != 0 && raises(transfer, TRANSFER_OTHER_ASSET))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transfer " INT64_FORMAT ": the accounts hold different assets",
						transfer->transfer_id),
				 errdetail("Account " INT64_FORMAT " holds %s, account " INT64_FORMAT " holds %s.",
						   from->account_id, from->asset_code, to->account_id, to->asset_code),
				 errhint("An exchange is two transfers, one in each asset.")));
	check_writer(transfer);
	if (!number_is_valid(transfer->amount, from->scale, NUMBER_POSITIVE) &&
		raises(transfer, TRANSFER_INVALID_AMOUNT))
		check_number("transfer", transfer->transfer_id, "amount", transfer->amount, from->scale,
					 NUMBER_POSITIVE);
	check_may_give(transfer, from);
	check_may_get(wiring, transfer, from, to);
}

static bool
is_allowed(Wiring *wiring, const char *kind, AccountKind from, AccountKind to)
{
	Datum		values[3] = {CStringGetTextDatum(kind), CStringGetTextDatum(account_kind_name(from)),
	CStringGetTextDatum(account_kind_name(to))};
	HotTable   *rules = wiring_hot(wiring, LEDGER_TRANSFER_RULE, &rule_layout);

	if (rules != NULL)
	{
		bool		isnull;
		bool		allowed;

		/* the highest version first */
		hot_begin(rules, wiring_snapshot(wiring, LEDGER_LATEST), 3);
		hot_seek(rules, values);
		allowed = hot_next(rules, BackwardScanDirection) && DatumGetBool(hot_value(rules, 4, &isnull));
		hot_end(rules);
		return allowed;
	}
	wiring_read(wiring, &read_rule, values, LEDGER_LATEST);
	return SPI_processed > 0 && result_bool(0, 1);
}

static void
refuse_by_rule(TransferRow *transfer, AccountKind from, AccountKind to)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("transfer " INT64_FORMAT ": a %s from %s to %s is not allowed", transfer->transfer_id,
					transfer->kind, account_kind_name(from), account_kind_name(to)),
			 errdetail("It would be from account " INT64_FORMAT " to account " INT64_FORMAT " of book %d.",
					   transfer->from_account, transfer->to_account, transfer->book_id),
			 errhint("Table transfer_rule says what is allowed; use another kind, or an account of the venue, see risk.system_account().")));
}

/*
 * check_rules
 *		Whether each transfer may go between accounts of these kinds: data, read
 *		once for a statement, for each of the few combinations of kinds that come up.
 */
void
check_rules(Wiring *wiring, Posting *posting, TransferRow **transfers, int n)
{
	typedef struct Combination
	{
		const char *kind;
		AccountKind from;
		AccountKind to;
		bool		allowed;
	} Combination;
	List	   *checked = NIL;

	for (int i = 0; i < n; i++)
	{
		Combination *found = NULL;
		AccountKind from = posting_account(posting, transfers[i]->from_account)->kind;
		AccountKind to = posting_account(posting, transfers[i]->to_account)->kind;
		ListCell   *lc;

		foreach(lc, checked)
		{
			Combination *combination = lfirst(lc);

			if (combination->from == from && combination->to == to &&
				strcmp(combination->kind, transfers[i]->kind) == 0)
			{
				found = combination;
				break;
			}
		}
		if (found == NULL)
		{
			found = palloc(sizeof(Combination));
			*found = (Combination) {
				transfers[i]->kind, from, to, is_allowed(wiring, transfers[i]->kind, from, to)
			};
			checked = lappend(checked, found);
		}
		if (!found->allowed && raises(transfers[i], TRANSFER_WRONG_ACCOUNT))
			refuse_by_rule(transfers[i], from, to);
	}
}

/*
 * open_system_accounts
 *		Lock what transfers write: traders are locked already, system accounts
 *		get a slot, or pass the gate where money leaves a floor or a position
 *		holder.
 */
void
open_system_accounts(Posting *posting, TransferEnd *ends, int n)
{
	LedgerAccount **gated = palloc(sizeof(LedgerAccount *) * Max(n, 1));
	LedgerAccount **others = palloc(sizeof(LedgerAccount *) * Max(n, 1));
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(int64), .hcxt = CurrentMemoryContext};
	HTAB	   *seen = hash_create("accounts seen", 32, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	int			ngated = 0;
	int			nothers = 0;

	/* gated ones first, so that no credit of the same account takes a slot */
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < n; i++)
		{
			LedgerAccount *account = ends[i].account;
			bool		gate = account_kind_is_gated(account->kind) &&
				(ends[i].debited || account->kind != ACCOUNT_INSURANCE_FUND);
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

/* Who takes money from a fund has passed the gate, as who opens a shortfall has to: what is read stays so. */
static List *
read_open_shortfalls(Wiring *wiring, int32 book_id)
{
	Datum		values[1] = {Int32GetDatum(book_id)};
	List	   *result = NIL;

	wiring_read(wiring, &read_on_suspense, values, LEDGER_LATEST);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		OnSuspense *open = palloc(sizeof(OnSuspense));

		*open = (OnSuspense) {
			result_text(row, 1), result_int64(row, 2), result_numeric(row, 3)
		};
		result = lappend(result, open);
	}
	return result;
}

/* The fund may have to pay for what is open; until that is placed nobody takes anything out of it by choice. */
static void
check_fund(const Judgement *judgement, TransferRow *transfer, LedgerAccount *fund)
{
	ListCell   *lc;

	foreach(lc, judgement->on_suspense)
	{
		OnSuspense *open = lfirst(lc);

		if (strcmp(open->asset_code, fund->asset_code) == 0 && raises(transfer, TRANSFER_SHORTFALL_OPEN))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("%s " INT64_FORMAT ": nothing is taken out of the insurance fund, account " INT64_FORMAT " of book %d, while a shortfall is open",
							table_of(transfer), transfer->transfer_id, fund->account_id, transfer->book_id),
					 errdetail("It would give %s %s; %s %s stand on suspense, of shortfalls: " INT64_FORMAT ".",
							   decimal_to_cstring(transfer->amount), fund->asset_code,
							   decimal_to_cstring(open->amount), open->asset_code, open->shortfalls),
					 errhint("Let risk.settle() place them first; table open_shortfall has them.")));
	}
}

/* read_judgement: nothing where money is taken from no account by choice */
Judgement
read_judgement(Wiring *wiring, Posting *posting, int32 book_id, TransferRow **transfers, int n)
{
	Judgement	judgement = {NULL, NULL, NIL, NIL};
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));
	int			nids = 0;
	bool		from_fund = false;

	for (int i = 0; i < n; i++)
	{
		LedgerAccount *from = posting_account(posting, transfers[i]->from_account);

		if (from->floor != NULL && entry_class(transfers[i]->kind) == CLASS_CHOICE)
		{
			ids[nids++] = from->account_id;
			from_fund |= from->kind == ACCOUNT_INSURANCE_FUND;
		}
	}
	if (nids == 0)
		return judgement;
	if (from_fund)
		judgement.on_suspense = read_open_shortfalls(wiring, book_id);
	judgement.payouts = payouts_read(wiring, book_id, ids, nids);
	judgement.requirements = requirements_read(wiring, book_id, ids, nids, !transfers[0]->judged);
	judgement.collateral = collateral_open(wiring, posting, book_id, ids, nids,
										   transfers[0]->judged ? COLLATERAL_AS_IT_IS : COLLATERAL_TO_JUDGE);
	return judgement;
}

/* check_choice: whether an account can spare what a transfer takes out of it, as the posting will leave it */
void
check_choice(Posting *posting, const Judgement *judgement, TransferRow *transfer)
{
	LedgerAccount *from = posting_account(posting, transfer->from_account);
	Requirement *requirement = NULL;
	Payout	   *payout;
	Numeric		balance;
	LedgerAccount *to = posting_account(posting, transfer->to_account);
	Numeric		holds;			/* but for the one that it captures */
	Numeric		own;
	Numeric		spare;

	if (judgement->requirements != NULL && entry_class(transfer->kind) == CLASS_CHOICE)
		requirement = requirement_of_account(judgement->requirements, transfer->from_account);
	if (requirement == NULL || (requirement->unmarked && !raises(transfer, TRANSFER_NO_MARK)))
		return;
	if (from->kind == ACCOUNT_INSURANCE_FUND)
		check_fund(judgement, transfer, from);
	payout = payout_of_account(judgement->payouts, from->account_id);
	if (payout != NULL && raises(transfer, TRANSFER_PAYOUT_OPEN))
		payout_refuse(payout, table_of(transfer), transfer->transfer_id, transfer->book_id);
	holds = requirement->holds;
	if (transfer->hold_left != NULL)
		holds = decimal_subtract(holds, transfer->hold_left);
	balance = from->kind == ACCOUNT_TRADER ? from->amount : posting_total(posting, from);
	own = margin_withdrawable(decimal_subtract(balance, from->floor),
							  requirement->unrealized_pnl, requirement->initial_margin,
							  requirement->order_reserve, holds, requirement->profit_backs_margin);
	spare = own;
	/* what goes to another member stays in the group */
	if (to == NULL || !collateral_are_one_group(from, to))
		spare = collateral_limit(judgement->collateral, from, own);
	if (decimal_compare(transfer->amount, spare) > 0 && raises(transfer, TRANSFER_EXCEEDS))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("%s " INT64_FORMAT ": account " INT64_FORMAT " of book %d cannot spare %s %s",
						table_of(transfer), transfer->transfer_id, from->account_id, transfer->book_id,
						decimal_to_cstring(transfer->amount), from->asset_code),
				 errdetail("It can spare %s: balance %s, floor %s, unrealized profit %s, initial margin %s%s%s%s%s%s.",
						   decimal_to_cstring(spare), decimal_to_cstring(balance),
						   decimal_to_cstring(from->floor),
						   decimal_to_cstring(requirement->unrealized_pnl),
						   decimal_to_cstring(requirement->initial_margin),
						   decimal_sign(requirement->order_reserve) == 0 ? "" : ", reserved for orders ",
						   decimal_sign(requirement->order_reserve) == 0 ? "" :
						   decimal_to_cstring(requirement->order_reserve),
						   decimal_sign(holds) == 0 ? "" : ", on hold ",
						   decimal_sign(holds) == 0 ? "" : decimal_to_cstring(holds),
						   decimal_compare(spare, own) == 0 ? "" :
						   psprintf(", kept for its margin group %s",
									decimal_to_cstring(decimal_subtract(own, spare)))),
				 decimal_sign(requirement->order_reserve) == 0 ?
				 errhint("Move less, or close positions first.") :
				 errhint("Move less, or close positions or cancel orders first.")));
}

/* post_transfer: in memory; the accounts are open */
void
post_transfer(Posting *posting, TransferRow *transfer)
{
	posting_post(posting, posting_account(posting, transfer->from_account),
				 decimal_negate(transfer->amount), transfer->kind,
				 transfer->transfer_id, transfer->effective_at);
	posting_post(posting, posting_account(posting, transfer->to_account),
				 transfer->amount, transfer->kind,
				 transfer->transfer_id, transfer->effective_at);
}

/*
 * pay_debts_of: what is deposited on, or moved by choice to, a frozen or closing
 * account pays first what the account owes; all is written
 */
void
pay_debts_of(Wiring *wiring, Posting *posting, int32 book_id, TransferRow **transfers, int n)
{
	Datum	   *ids = NULL;
	int			nids = 0;

	for (int i = 0; i < n; i++)
	{
		AccountStatus status = posting_account(posting, transfers[i]->to_account)->status;

		if ((strcmp(transfers[i]->kind, "deposit") != 0 && strcmp(transfers[i]->kind, "transfer") != 0) ||
			(status != STATUS_FROZEN && status != STATUS_CLOSING))
			continue;
		if (ids == NULL)
			ids = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
		ids[nids++] = Int64GetDatum(transfers[i]->to_account);
	}
	if (nids > 0)
		recourse_pay_debts(wiring, book_id, ids, nids);
}

/* What the transfers pay out of holds is no longer kept when they are judged. */
static void
capture_holds(Wiring *wiring, int32 book_id, TransferRow **transfers, int n)
{
	HoldTake   *takes;
	int			ntakes = 0;

	for (int i = 0; i < n; i++)
		ntakes += transfers[i]->hold_id != 0;
	if (ntakes == 0)
		return;
	takes = palloc_extended(sizeof(HoldTake) * ntakes, MCXT_ALLOC_HUGE);
	ntakes = 0;
	for (int i = 0; i < n; i++)
		if (transfers[i]->hold_id != 0)
			takes[ntakes++] = (HoldTake)
		{
			.table = "transfer", .row_id = transfers[i]->transfer_id,
				.account_id = transfers[i]->from_account, .hold_id = transfers[i]->hold_id,
				.amount = transfers[i]->amount, .captures = true
		};
	open_holds_take(wiring, book_id, takes, ntakes);
	for (int i = 0, t = 0; i < n; i++)
		if (transfers[i]->hold_id != 0)
			transfers[i]->hold_left = takes[t++].left;
}

static void
post_transfers_of_book(Wiring *wiring, int32 book_id, void **rows, int n)
{
	TransferRow **transfers = (TransferRow **) rows;
	Posting    *posting = posting_begin(wiring, book_id);
	int64	   *account_ids = palloc(sizeof(int64) * n * 2);
	TransferEnd *ends = palloc(sizeof(TransferEnd) * n * 2);
	Judgement	judgement;

	idempotency_take(wiring, book_id, &keyed_transfers, rows, n);
	for (int i = 0; i < n; i++)
	{
		account_ids[i * 2] = transfers[i]->from_account;
		account_ids[i * 2 + 1] = transfers[i]->to_account;
	}
	posting_open_with_backing(posting, account_ids, n * 2);
	for (int i = 0; i < n; i++)
	{
		check_transfer(wiring, posting, transfers[i]);
		ends[i * 2] = (TransferEnd) {posting_account(posting, transfers[i]->from_account), true};
		ends[i * 2 + 1] = (TransferEnd) {posting_account(posting, transfers[i]->to_account), false};
	}
	check_rules(wiring, posting, transfers, n);
	open_system_accounts(posting, ends, n * 2);
	capture_holds(wiring, book_id, transfers, n);
	judgement = read_judgement(wiring, posting, book_id, transfers, n);

	for (int i = 0; i < n; i++)
	{
		check_choice(posting, &judgement, transfers[i]);
		post_transfer(posting, transfers[i]);
	}
	posting_write(posting);
	pay_debts_of(wiring, posting, book_id, transfers, n);
}

enum TransferColumn
{
	TRANSFER_BOOK, TRANSFER_ID, TRANSFER_PERIOD, TRANSFER_FROM, TRANSFER_TO, TRANSFER_EFFECTIVE_AT,
	TRANSFER_AMOUNT, TRANSFER_KIND, TRANSFER_WHO, TRANSFER_KEY, TRANSFER_HOLD, TRANSFER_COLUMNS
};

/* The trigger has nothing to post here; kinds are those that have a rule, and nothing is on hold. */
static const HotLayout transfer_layout = {
	.nkey = 3, .ncolumns = TRANSFER_COLUMNS,
	.columns = {
		{"book_id", INT4OID}, {"transfer_id", INT8OID}, {"period", DATEOID}, {"from_account", INT8OID},
		{"to_account", INT8OID}, {"effective_at", TIMESTAMPTZOID}, {"amount", NUMERICOID}, {"kind", TEXTOID},
		{"who", TEXTOID}, {"idempotency_key", TEXTOID}, {"hold_id", INT8OID}
	},
	.written = true, .inserted = true, .triggers = {"post", "keep_rows", "keep_table"},
	.checks = {"transfer_kind_check", "transfer_hold_id_check"}
};

static void
insert_hot_transfers(HotTable *table, TransferRow **transfers, int n)
{
	Datum	   *values = palloc_extended(sizeof(Datum) * n * TRANSFER_COLUMNS, MCXT_ALLOC_HUGE);
	bool	   *nulls = palloc_extended(sizeof(bool) * n * TRANSFER_COLUMNS, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	Datum		who = CStringGetTextDatum(transfers[0]->who);

	for (int i = 0; i < n; i++)
	{
		TransferRow *transfer = transfers[i];
		Datum	   *row = values + (Size) i * TRANSFER_COLUMNS;

		row[TRANSFER_BOOK] = Int32GetDatum(transfer->book_id);
		row[TRANSFER_ID] = Int64GetDatum(transfer->transfer_id);
		row[TRANSFER_PERIOD] = DateADTGetDatum(transfer->period);
		row[TRANSFER_FROM] = Int64GetDatum(transfer->from_account);
		row[TRANSFER_TO] = Int64GetDatum(transfer->to_account);
		row[TRANSFER_EFFECTIVE_AT] = TimestampTzGetDatum(transfer->effective_at);
		row[TRANSFER_AMOUNT] = NumericGetDatum(transfer->amount);
		row[TRANSFER_KIND] = CStringGetTextDatum(transfer->kind);
		row[TRANSFER_WHO] = who;
		nulls[(Size) i * TRANSFER_COLUMNS + TRANSFER_KEY] = transfer->idempotency_key == NULL;
		if (transfer->idempotency_key != NULL)
			row[TRANSFER_KEY] = CStringGetTextDatum(transfer->idempotency_key);
		nulls[(Size) i * TRANSFER_COLUMNS + TRANSFER_HOLD] = true;
	}
	hot_insert(table, values, nulls, n);
	CommandCounterIncrement();
}

/* insert_posted_transfers: the rows of transfers that the caller has posted */
void
insert_posted_transfers(Wiring *wiring, int32 book_id, TransferRow **transfers, int n)
{
	Datum	   *columns[7];
	bool	   *no_key = palloc_extended(sizeof(bool) * n, MCXT_ALLOC_HUGE);
	Datum		values[8] = {Int32GetDatum(book_id)};
	static const Oid types[7] = {INT8OID, INT8OID, INT8OID, NUMERICOID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
	HotTable   *table = wiring_hot(wiring, LEDGER_TRANSFER, &transfer_layout);

	if (table != NULL)
	{
		insert_hot_transfers(table, transfers, n);
		return;
	}
	for (int c = 0; c < 7; c++)
		columns[c] = palloc_extended(sizeof(Datum) * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		TransferRow *transfer = transfers[i];

		columns[0][i] = Int64GetDatum(transfer->transfer_id);
		columns[1][i] = Int64GetDatum(transfer->from_account);
		columns[2][i] = Int64GetDatum(transfer->to_account);
		columns[3][i] = NumericGetDatum(transfer->amount);
		columns[4][i] = CStringGetTextDatum(transfer->kind);
		no_key[i] = transfer->idempotency_key == NULL;
		columns[5][i] = no_key[i] ? (Datum) 0 : CStringGetTextDatum(transfer->idempotency_key);
		columns[6][i] = TimestampTzGetDatum(transfer->effective_at);
	}
	for (int c = 0; c < 7; c++)
		values[c + 1] = array_argument(columns[c], c == 5 ? no_key : NULL, n, types[c]);

	posted_transfer_id = transfers[0]->transfer_id;
	posted_transfers = n;
	PG_TRY();
	{
		wiring_write(wiring, &insert_transfers, values);
	}
	PG_FINALLY();
	{
		posted_transfers = 0;
	}
	PG_END_TRY();
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

	/* other triggers on the table may insert transfers of their own meanwhile */
	if (n == 0 || n != posted_transfers || transfers[0].transfer_id != posted_transfer_id)
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
