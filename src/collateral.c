/*
 * collateral.c
 *		Margin groups: accounts of one owner that stand in for each other.
 *
 * A group is the traders' accounts of one owner in one book whose policies opt
 * in, but for the children that hold isolated positions.  Posting locks all
 * members in the sorted pass of its statement and tells which accounts are in
 * a group; for accounts that are in none, nothing here reads a table.
 *
 * Members are looked for again after the locks, since owner and policy can
 * change in between.  One that has joined meanwhile is locked if nobody holds
 * it: after the gate, no trader may be waited for.  What it needs or has to
 * give is not known otherwise.
 *
 * What the accounts of one asset have to spare, less what they lack, is their
 * net.  Above zero, it counts for the other assets of the group, up to the cap
 * of the asset, at its index price less the haircut; below, it is what the
 * others have to hold for it.  See margin_collateral_value() and
 * margin_collateral_share().
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "collateral.h"
#include "margin.h"
#include "valuation.h"

typedef struct Member
{
	LedgerAccount *account;
	Numeric		index_price;	/* 0: unknown */
	Numeric		haircut;		/* 1: the asset is no collateral */
	Numeric		cap;			/* NULL: none */
	Requirement *requirement;
	Numeric		promised;		/* part of the balance in planned exchanges */
} Member;

typedef struct Exchange
{
	LedgerAccount *account;
	LedgerAccount *from;
	Numeric		amount;
	Numeric		from_amount;
	Numeric		index_price;
	Numeric		from_index_price;
	Numeric		haircut;
	int64		cause;
	const char *cause_kind;
} Exchange;

struct Collateral
{
	Wiring	   *wiring;
	Posting    *posting;
	int32		book_id;
	Member	   *members;		/* by owner, haircut, asset, account_id */
	int			n;
	bool		complete;		/* no member is without its lock */
	Exchange   *exchanges;		/* planned, not posted yet */
	int			nexchanges;
	int			exchanges_size;
};

/* The members of the groups of these accounts, which are in groups. */
static const LedgerStatement read_members = {
	"SELECT m.account_id, coalesce(x.price, 0), coalesce(c.haircut, 1), c.cap"
	" FROM (SELECT DISTINCT a.owner_id"
	"  FROM unnest($2) AS u(account_id), LATERAL ("
	"   SELECT a.* FROM {account} a"
	"   WHERE a.book_id = $1 AND a.account_id = u.account_id OFFSET 0) AS a) AS g,"
	" LATERAL (SELECT m.* FROM {account} m"
	"  WHERE m.book_id = $1 AND m.owner_id = g.owner_id AND m.in_group"
	"   AND m.status <> 'closed' OFFSET 0) AS m"
	" LEFT JOIN {collateral} c ON c.asset_code = m.asset_code"
	" LEFT JOIN {index_price} x ON x.asset_code = m.asset_code"
	" ORDER BY m.owner_id COLLATE \"C\", coalesce(c.haircut, 1), m.asset_code COLLATE \"C\", m.account_id",
	2, {INT4OID, INT8ARRAYOID}
};

static const LedgerStatement insert_exchanges = {
	"INSERT INTO {exchange} (book_id, account_id, from_account, cause, cause_kind, asset_code,"
	"  from_asset, amount, from_amount, index_price, from_index_price, haircut, owner_id)"
	" SELECT $1, u.account_id, u.from_account, u.cause, u.cause_kind, u.asset_code, u.from_asset,"
	"  u.amount, u.from_amount, u.index_price, u.from_index_price, u.haircut, u.owner_id"
	" FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) WITH ORDINALITY"
	"  AS u(account_id, from_account, cause, cause_kind, asset_code, from_asset, amount,"
	"   from_amount, index_price, from_index_price, haircut, owner_id, place)"
	" ORDER BY u.place RETURNING exchange_id",
	13, {INT4OID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,
		NUMERICARRAYOID, TEXTARRAYOID}
};

static const LedgerStatement insert_exchange_events = {
	"INSERT INTO {event} (book_id, account_id, kind, payload)"
	" SELECT x.book_id, x.account_id, 'exchange', jsonb_build_object('exchange_id', x.exchange_id,"
	"  'from_account', x.from_account, 'from_amount', x.from_amount, 'from_asset', x.from_asset,"
	"  'amount', x.amount, 'asset_code', x.asset_code, 'cause_kind', x.cause_kind, 'cause', x.cause)"
	" FROM unnest($2) AS n(id), LATERAL ("
	"  SELECT x.* FROM {exchange} x WHERE x.book_id = $1 AND x.exchange_id = n.id OFFSET 0) AS x ORDER BY x.exchange_id",
	2, {INT4OID, INT8ARRAYOID}
};

static Numeric
zero(void)
{
	return decimal_from_int64(0);
}

/* Open the members that the posting has not locked, as far as they are free; whether there were any. */
static bool
open_newcomers(Posting *posting)
{
	int64	   *ids = palloc(sizeof(int64) * Max(SPI_processed, 1));
	int			n = 0;

	for (uint64 row = 0; row < SPI_processed; row++)
		if (posting_account(posting, result_int64(row, 1)) == NULL)
			ids[n++] = result_int64(row, 1);
	if (n > 0)
		posting_open_free(posting, ids, n);
	return n > 0;
}

/* What the open positions and orders of the members ask for. */
static void
read_member_requirements(Collateral *collateral, CollateralUse use)
{
	int64	   *ids = palloc(sizeof(int64) * Max(collateral->n, 1));
	Requirements *requirements;

	for (int i = 0; i < collateral->n; i++)
		ids[i] = collateral->members[i].account->account_id;
	requirements = requirements_read(collateral->wiring, collateral->book_id, ids, collateral->n,
									 use == COLLATERAL_TO_JUDGE);
	for (int i = 0; i < collateral->n; i++)
		collateral->members[i].requirement = requirement_of_account(requirements, ids[i]);
}

/*
 * collateral_open
 *		The groups of these accounts, which the posting has opened; NULL when
 *		none is in one.  Lives in the current memory context.
 */
Collateral *
collateral_open(Wiring *wiring, Posting *posting, int32 book_id, const int64 *account_ids, int n,
				CollateralUse use)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(n, 1));
	Datum		values[2] = {Int32GetDatum(book_id)};
	int			grouped = 0;
	Collateral *collateral;

	for (int i = 0; i < n; i++)
		if (posting_account(posting, account_ids[i])->in_group)
			ids[grouped++] = Int64GetDatum(account_ids[i]);
	if (grouped == 0)
		return NULL;

	collateral = palloc0(sizeof(Collateral));
	collateral->wiring = wiring;
	collateral->posting = posting;
	collateral->book_id = book_id;
	collateral->complete = true;
	values[1] = array_argument(ids, NULL, grouped, INT8OID);
	wiring_read(wiring, &read_members, values, LEDGER_LATEST);
	if (open_newcomers(posting))
		wiring_read(wiring, &read_members, values, LEDGER_LATEST);

	collateral->members = palloc0(sizeof(Member) * Max(SPI_processed, 1));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		LedgerAccount *account = posting_account(posting, result_int64(row, 1));
		Member	   *member = &collateral->members[collateral->n];

		if (account == NULL || account->slot < 0)
		{
			collateral->complete = false;
			continue;
		}
		member->account = account;
		member->index_price = result_numeric(row, 2);
		member->haircut = result_numeric(row, 3);
		member->cap = result_numeric(row, 4);
		member->promised = zero();
		collateral->n++;
	}
	if (use == COLLATERAL_TO_JUDGE && !collateral->complete)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("A margin group of book %d got another member meanwhile.", book_id),
				 errhint("Try the transaction again.")));
	read_member_requirements(collateral, use);
	return collateral;
}

/* collateral_are_one_group: whether two accounts of a book are in the same group */
bool
collateral_are_one_group(const LedgerAccount *a, const LedgerAccount *b)
{
	return a->in_group && b->in_group && strcmp(a->owner_id, b->owner_id) == 0;
}

/* The group of an account, n of them, and which of them is the account; none when it is in none. */
static Member *
group_of(Collateral *collateral, LedgerAccount *account, int *n, Member **self)
{
	int			low = 0;
	int			high = collateral == NULL || !account->in_group ? 0 : collateral->n;
	Member	   *group;

	*n = 0;
	*self = NULL;
	if (high == 0)
		return NULL;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (strcmp(collateral->members[middle].account->owner_id, account->owner_id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	group = &collateral->members[low];
	for (; low < collateral->n && strcmp(collateral->members[low].account->owner_id, account->owner_id) == 0; low++)
	{
		if (collateral->members[low].account == account)
			*self = &collateral->members[low];
		(*n)++;
	}
	if (*self == NULL)
		*n = 0;
	return group;
}

static bool
is_asset_of(const Member *a, const Member *b)
{
	return strcmp(a->account->asset_code, b->account->asset_code) == 0;
}

static Numeric
balance_above_floor(const Member *member)
{
	return decimal_subtract(member->account->amount, member->account->floor);
}

/*
 * What a member has to spare for the others (above zero), or lacks for its
 * own positions, orders and holds (below).  Profit that is not realised counts for
 * the member itself only.
 */
static Numeric
net_of(const Member *member)
{
	const Requirement *requirement = member->requirement;
	Numeric		balance = balance_above_floor(member);

	return decimal_min(margin_free_collateral(balance, requirement->unrealized_pnl,
											  requirement->initial_margin,
											  requirement->order_reserve, requirement->holds),
					   margin_withdrawable(balance, requirement->unrealized_pnl,
										   requirement->initial_margin,
										   requirement->order_reserve, requirement->holds,
										   requirement->profit_backs_margin));
}

/*
 * collateral_of
 *		What the rest of its group counts for an account, in its asset; below
 *		zero: what the account has to hold for the rest.
 */
Numeric
collateral_of(Collateral *collateral, LedgerAccount *account)
{
	int			n;
	Member	   *self;
	Member	   *group = group_of(collateral, account, &n, &self);
	Numeric		rest = zero();
	Numeric		same = zero();
	Numeric		share;

	if (n == 0)
		return zero();

	/* members of one asset stand side by side */
	for (int begin = 0, end; begin < n; begin = end)
	{
		Member	   *asset = &group[begin];
		Numeric		net = zero();

		for (end = begin; end < n && is_asset_of(&group[end], asset); end++)
			if (&group[end] != self)
				net = decimal_add(net, net_of(&group[end]));
		if (is_asset_of(asset, self))
			same = net;
		else
		{
			if (asset->cap != NULL)
				net = decimal_min(net, asset->cap);
			rest = decimal_add(rest, margin_collateral_value(net, asset->index_price, asset->haircut));
		}
	}
	share = margin_collateral_share(rest, self->index_price, self->haircut, account->scale);
	if (self->cap != NULL)
		share = decimal_max(share, decimal_negate(self->cap));
	return decimal_add(same, share);
}

/*
 * collateral_limit
 *		How much of what an account can spare by itself may leave its group.
 *		Nothing may while a member cannot be valued.
 */
Numeric
collateral_limit(Collateral *collateral, LedgerAccount *account, Numeric own)
{
	int			n;
	Member	   *self;
	Member	   *group = group_of(collateral, account, &n, &self);
	bool		known = n == 0 || collateral->complete;
	Numeric		backing;

	for (int i = 0; i < n; i++)
		known &= !group[i].requirement->unmarked;
	if (!known)
		return zero();
	backing = collateral_of(collateral, account);
	if (decimal_sign(backing) >= 0)
		return own;
	return decimal_max(decimal_add(own, backing), zero());
}

/*
 * What a member may give in a shortfall: its balance, but for losses that it
 * has not realised.  What is bound as margin pays too, before anybody else does.
 */
static Numeric
disposable(const Member *member)
{
	return decimal_round(margin_withdrawable(decimal_subtract(balance_above_floor(member), member->promised),
											 member->requirement->unrealized_pnl, zero(), zero(), zero(),
											 false),
						 member->account->scale, DECIMAL_DOWN);
}

/*
 * At which prices and haircut a member's balance is exchanged for an account.
 * Within one asset nothing is exchanged: at par.  False when it cannot be.
 */
static bool
exchange_terms(const Member *member, const Member *self, Exchange *terms)
{
	bool		same = is_asset_of(member, self);

	if (member == self)
		return false;
	terms->account = self->account;
	terms->from = member->account;
	terms->index_price = same ? decimal_from_int64(1) : self->index_price;
	terms->from_index_price = same ? decimal_from_int64(1) : member->index_price;
	terms->haircut = same ? zero() : member->haircut;
	return decimal_sign(terms->index_price) > 0 && decimal_sign(terms->from_index_price) > 0 &&
		decimal_compare(terms->haircut, decimal_from_int64(1)) < 0;
}

/* What an amount of the asset given is worth in the other, on these terms, rounded down. */
static Numeric
worth(const Exchange *terms, Numeric from_amount)
{
	return margin_collateral_share(margin_collateral_value(from_amount, terms->from_index_price, terms->haircut),
								   terms->index_price, zero(), terms->account->scale);
}

/* collateral_available: what an account could get from the rest of its group, in its asset */
Numeric
collateral_available(Collateral *collateral, LedgerAccount *account)
{
	int			n;
	Member	   *self;
	Member	   *group = group_of(collateral, account, &n, &self);
	Numeric		sum = zero();
	Exchange	terms;

	for (int i = 0; i < n; i++)
		if (exchange_terms(&group[i], self, &terms))
			sum = decimal_add(sum, worth(&terms, disposable(&group[i])));
	return sum;
}

static Exchange *
new_exchange(Collateral *collateral)
{
	if (collateral->nexchanges == collateral->exchanges_size)
	{
		collateral->exchanges_size = Max(16, collateral->exchanges_size * 2);
		collateral->exchanges = collateral->exchanges == NULL ?
			palloc(sizeof(Exchange) * collateral->exchanges_size) :
			repalloc_huge(collateral->exchanges, sizeof(Exchange) * collateral->exchanges_size);
	}
	return &collateral->exchanges[collateral->nexchanges++];
}

/*
 * collateral_exchange
 *		Plan to get due for an account out of the rest of its group, as far as
 *		that goes: from accounts of the same asset first, then by haircut,
 *		asset and account_id.
 */
void
collateral_exchange(Collateral *collateral, LedgerAccount *account, Numeric due,
					int64 cause, const char *cause_kind)
{
	int			n;
	Member	   *self;
	Member	   *group = group_of(collateral, account, &n, &self);

	for (int same = 1; same >= 0; same--)
		for (int i = 0; i < n; i++)
		{
			Exchange	terms;
			Numeric		amount;

			if (is_asset_of(&group[i], self) != same || !exchange_terms(&group[i], self, &terms))
				continue;
			amount = decimal_min(due, worth(&terms, disposable(&group[i])));
			if (decimal_sign(amount) <= 0)
				continue;

			/* no more than it takes, and for that, what it is worth */
			terms.from_amount = margin_collateral_needed(amount, terms.index_price, terms.from_index_price,
														terms.haircut, group[i].account->scale);
			terms.amount = worth(&terms, terms.from_amount);
			terms.cause = cause;
			terms.cause_kind = cause_kind;
			*new_exchange(collateral) = terms;
			group[i].promised = decimal_add(group[i].promised, terms.from_amount);
			due = decimal_subtract(due, amount);
		}
}

/* collateral_assets: the assets (char *) of the members */
List *
collateral_assets(Collateral *collateral)
{
	List	   *assets = NIL;

	for (int i = 0; collateral != NULL && i < collateral->n; i++)
		assets = lappend(assets, collateral->members[i].account->asset_code);
	return assets;
}

/* The legs of an exchange; the liquidity accounts are on the other side, of each asset its own. */
static void
post_exchange(Collateral *collateral, Exchange *exchange, int64 exchange_id, TimestampTz now)
{
	Posting    *posting = collateral->posting;

	posting_post(posting, exchange->from, decimal_negate(exchange->from_amount), "exchange", exchange_id, now);
	if (strcmp(exchange->from->asset_code, exchange->account->asset_code) != 0)
	{
		posting_post(posting, posting_system_account(posting, ACCOUNT_LIQUIDITY, exchange->from->asset_code),
					 exchange->from_amount, "exchange", exchange_id, now);
		posting_post(posting, posting_system_account(posting, ACCOUNT_LIQUIDITY, exchange->account->asset_code),
					 decimal_negate(exchange->amount), "exchange", exchange_id, now);
	}
	posting_post(posting, exchange->account, exchange->amount, "exchange", exchange_id, now);
}

/*
 * collateral_post
 *		Post the planned exchanges, with a row and an event for each.  The gate
 *		is passed.
 */
void
collateral_post(Collateral *collateral)
{
	int			n = collateral == NULL ? 0 : collateral->nexchanges;
	Datum	   *columns[12];
	Datum		values[13];
	static const Oid types[12] = {INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, NUMERICOID,
	NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID, TEXTOID};
	Datum	   *exchange_ids;
	TimestampTz now = GetCurrentTimestamp();

	if (n == 0)
		return;
	for (int c = 0; c < 12; c++)
		columns[c] = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
	{
		Exchange   *exchange = &collateral->exchanges[i];

		columns[0][i] = Int64GetDatum(exchange->account->account_id);
		columns[1][i] = Int64GetDatum(exchange->from->account_id);
		columns[2][i] = Int64GetDatum(exchange->cause);
		columns[3][i] = CStringGetTextDatum(exchange->cause_kind);
		columns[4][i] = CStringGetTextDatum(exchange->account->asset_code);
		columns[5][i] = CStringGetTextDatum(exchange->from->asset_code);
		columns[6][i] = NumericGetDatum(exchange->amount);
		columns[7][i] = NumericGetDatum(exchange->from_amount);
		columns[8][i] = NumericGetDatum(exchange->index_price);
		columns[9][i] = NumericGetDatum(exchange->from_index_price);
		columns[10][i] = NumericGetDatum(exchange->haircut);
		columns[11][i] = CStringGetTextDatum(exchange->account->owner_id);
	}
	values[0] = Int32GetDatum(collateral->book_id);
	for (int c = 0; c < 12; c++)
		values[c + 1] = array_argument(columns[c], NULL, n, types[c]);
	wiring_write(collateral->wiring, &insert_exchanges, values);

	exchange_ids = palloc(sizeof(Datum) * n);
	for (int i = 0; i < n; i++)
		exchange_ids[i] = Int64GetDatum(result_int64(i, 1));
	for (int i = 0; i < n; i++)
		post_exchange(collateral, &collateral->exchanges[i], DatumGetInt64(exchange_ids[i]), now);
	values[1] = array_argument(exchange_ids, NULL, n, INT8OID);
	wiring_write(collateral->wiring, &insert_exchange_events, values);

	collateral->nexchanges = 0;
	for (int i = 0; i < collateral->n; i++)
		collateral->members[i].promised = zero();
}
