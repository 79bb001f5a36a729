-- What the agent needs to go on after a restart, and to keep within what may be spent.

-- How a run began: with it and its turns, the conversation can be built again. Written by investigation/store.rs.
create table runs (
    investigation_id  uuid primary key references investigations (id) on delete cascade,
    system            text not null,
    case_file         text not null,
    fence             text not null,        -- the random word that marks data in this run
    facts             jsonb not null,       -- as gathered, without the observations, which are in `steps`
    created_at        timestamptz not null default now()
);

-- The ledger of a run: one row for each turn of the model, written when the turn is done. Written by
-- investigation/store.rs.
create table turns (
    investigation_id  uuid not null references investigations (id) on delete cascade,
    number            integer not null,     -- 1, 2, …
    attempt           integer not null,     -- that wrote it
    model             text not null,
    turn              jsonb not null,       -- what the model said, redacted
    answers           jsonb not null,       -- one for each of its calls
    told              text not null,        -- what a turn without calls was told
    forced            boolean not null,     -- only the conclusion was asked for
    input_tokens      bigint not null,
    cached_tokens     bigint not null,
    output_tokens     bigint not null,
    usd               double precision not null,
    milliseconds      bigint not null,
    created_at        timestamptz not null default now(),
    primary key (investigation_id, number)
);
create index turns_created on turns (created_at);

-- What the call under way can cost at most: it counts against the day until the turn is written.
alter table investigations add column usd_reserved double precision not null default 0;
