// The code around the ts blocks that are no whole programs: earlier declarations of the reader, and behind the block a
// check that it has done its work. `untilPrinted(text, act)` acts again and again until the block has printed
// the text, and `end` ends the program then (run-programs.ts).

export interface Fragment {
  /** The name of the block (blocks.ts). */
  readonly of: string
  readonly before?: string
  readonly after?: string
  /** Texts of the block that a test must change, with their replacements. */
  readonly change?: Readonly<Record<string, string>>
}

const CLIENT = "const kv = new Client({ endpoints: ['http://127.0.0.1:7301'] });"
const KV = `import { Client } from 'quorate'; ${CLIENT}`
const ASSERT = "import assert from 'node:assert/strict';"
const GLOBALS =
  'declare const untilPrinted: (text: string, act: () => Promise<unknown>) => Promise<void>; declare const end: () => void;'
const CLOSE = 'await kv.close()'

/** For a block without an end. */
const until = (text: string, act: string): string =>
  `${GLOBALS} void untilPrinted('${text}', async () => { ${act} }).then(end).then(() => kv.close());`

const recipes = (...names: readonly string[]): string => `import { ${names.join()} } from 'quorate/recipes';`

export const FRAGMENTS: readonly Fragment[] = [
  {
    of: 'README.md: // Real Raft and real LevelDB',
    // A machine that runs tests may be busy.
    change: { 'cluster.client()': 'cluster.client({ timeoutMs: 60_000 })' },
  },
  {
    of: 'docs/guides/users.md: const kv = new Client({',
    before: "process.env.KV_USER = 'shop'; process.env.KV_PASSWORD = 'correct horse'",
  },
  {
    // A node answers as etcd does.
    of: "docs/guides/etcd.md: const kv = new EtcdClient({ endpoints: ['http://127.0.0.1:2379'] })",
    change: { "['http://127.0.0.1:2379']": "['http://127.0.0.1:7301']" },
  },
  {
    of: 'docs/guides/barriers.md: const session = await kv.session({ ttlMs: 10_000 })',
    before: `${ASSERT} ${recipes('barrier')} ${KV} const migration = barrier(kv, 'held')`,
    after: `assert.equal(await migration.isRaised(), true); await session.close(); ${CLOSE}`,
  },
  {
    of: 'docs/guides/client.md: async function increment(kv: Client, key: string): Promise<number> {',
    before: ASSERT,
    after: `
      ${CLIENT}
      assert.equal(await increment(kv, 'client/n'), 1);
      assert.equal(await increment(kv, 'client/n'), 2);
      ${CLOSE}`,
  },
  {
    of: "docs/guides/client.md: await kv.putJson('config/mail', { host: 'mail.example.org', port: 25 })",
    before: `${ASSERT} ${KV}`,
    after: `assert.equal(port, 25); ${CLOSE}`,
  },
  {
    of: 'docs/guides/queue.md: interface Mail {',
    before: `${ASSERT} ${recipes('queue')} ${KV}`,
    after: `assert.equal(letter?.json().to, 'Ann'); ${CLOSE}`,
  },
  {
    of: 'docs/guides/client.md: async function transfer(kv: Client, from: string, to: string, amount: number): Promise<void> {',
    before: `${ASSERT} ${KV}`,
    after: `
      await kv.put('ann', '10');
      await transfer(kv, 'ann', 'bob', 4);
      assert.equal((await kv.get('ann'))?.text(), '6');
      assert.equal((await kv.get('bob'))?.text(), '4');
      await assert.rejects(transfer(kv, 'ann', 'bob', 7), /only 6/);
      ${CLOSE}`,
  },
  {
    of: 'docs/guides/client.md: try { (1)',
    before: `
      ${ASSERT} import { PreconditionFailedError } from 'quorate'; ${KV} const id = '17'; const myName = 'me';
      await kv.put('jobs/17/owner', 'another')`,
    after: `assert.equal((await kv.get('jobs/17/owner'))?.text(), 'another'); ${CLOSE}`,
  },
  {
    of: 'docs/guides/client.md: await using session = await kv.session({ ttlMs: 10_000 })',
    before: `
      ${ASSERT} ${KV} const myName = 'me';
      const doSomeWork = async () => {
        assert.equal((await kv.get('workers/me'))?.text(), 'alive');
        await kv.revokeLease(session.lease);
        while (!session.signal.aborted) await session.put('workers/me', 'alive').catch(() => {});
      }`,
    after: `assert.equal(await kv.get('workers/me'), undefined); ${CLOSE}`,
  },
  {
    of: "docs/guides/client.md: for await (const { events } of kv.watch({ prefix: 'config/' }))",
    before: `${KV} ${until('put config/colour', "await kv.put('config/colour', 'red')")}`,
  },
  {
    of: "docs/guides/client.md: for await (const view of kv.mirror({ prefix: 'config/' })) console.log(view.get('config/colour')?.text())",
    before: `${KV} ${until('green', "await kv.put('config/colour', 'green')")}`,
  },
  {
    of: 'docs/guides/client.md: try { (2)',
    before: `${ASSERT} import { QuorateError } from 'quorate'; ${KV}`,
    after: `assert.equal((await kv.get('k'))?.text(), 'v'); ${CLOSE}`,
  },
  {
    of: "docs/guides/client.md: const record = await kv.get('flags', {",
    before: `${ASSERT} ${GLOBALS} ${KV} await kv.put('flags', 'a')`,
    after: `assert.equal(record?.text(), 'a'); await untilPrinted('n1: at most ', async () => {}); ${CLOSE}`,
  },
  {
    of: 'docs/guides/embedding.md: const cluster = await startCluster({',
    before: "import { pino } from 'pino'; import { startCluster } from 'quorate'",
  },
  {
    of: "docs/guides/embedding.md: const minority = new Client({ endpoints: [cluster.node('n1').url], discover: false, timeoutMs: 1000 })",
    before: `
      ${ASSERT} import { startCluster } from 'quorate';
      const cluster = await startCluster({ nodes: 2 });
      cluster.partition([['n1'], ['n2']])`,
    after: `
      await assert.rejects(minority.get('a'), { name: 'UnavailableError' });
      await minority.close(); await cluster.close()`,
  },
  {
    of: 'docs/guides/embedding.md: const node = await startNode({',
    before: ASSERT,
    change: { '/var/lib/quorate': 'node', 'await node.ended ': '(void node.stop(), await node.ended) ' },
    after: "assert.equal(end.kind, 'stopped')",
  },
  {
    of: "docs/guides/leader-election.md: for await (const leader of followLeader(kv, 'scheduler')) {",
    before: `
      import { campaign } from 'quorate/recipes'; ${KV}
      ${until('ten', "await (await campaign(kv, 'scheduler', { value: 'ten' })).release()")}`,
  },
  {
    of: "docs/guides/locks.md: const config = rwLock(kv, 'config')",
    before: `${ASSERT} ${recipes('rwLock')} ${KV}`,
    after: `assert.equal((await kv.get('config/text'))?.text(), 'new'); ${CLOSE}`,
  },
  {
    of: "docs/guides/locks.md: const downloads = semaphore(kv, 'downloads', 3)",
    before: `${recipes('semaphore')} ${KV}`,
    after: CLOSE,
  },
  {
    of: 'docs/guides/sagas.md: const end = new AbortController()',
    before: `
      ${ASSERT} ${recipes('saga')} ${KV}
      const crash = new AbortController();
      const flight = async () => { if (crash.signal.aborted) end.abort(); crash.abort(); };
      const booking = saga<string>(kv, 'resumed', [{ name: 'flight', run: flight }]);
      const log = { error: (error: unknown) => console.log(error) };
      await assert.rejects(booking.run('trip', 'Oslo', { signal: crash.signal }))`,
    after: CLOSE,
  },
  {
    of: "docs/reference/client.md: const kv = new Client({ endpoints: ['http://127.0.0.1:7301'] })",
    after: CLOSE,
  },
  {
    of: "docs/reference/client.md: for await (const { revision, events } of kv.watch({ prefix: 'jobs/' })) {",
    before: `${KV} ${until('put jobs/1 run', "await kv.put('jobs/1', 'run')")}`,
  },
  {
    of: "docs/reference/client.md: for await (const view of kv.mirror({ prefix: 'config/' })) apply(new Map(view))",
    before: `
      ${KV} const apply = (map: Map<string, { text(): string }>) => console.log(map.get('config/mode')?.text());
      ${until('blue', "await kv.put('config/mode', 'blue')")}`,
  },
  {
    of: 'docs/reference/client.md: await using session = await kv.session({ ttlMs: 10_000 })',
    before: `${ASSERT} ${KV} const stop = (reason: unknown) => console.log(String(reason))`,
    after: `assert.equal((await kv.get('services/web/1'))?.text(), '10.0.0.7:80'); await session.close(); ${CLOSE}`,
  },
  {
    of: 'docs/reference/client.md: const { succeeded, results } = await kv.txn({',
    before: `${ASSERT} ${GLOBALS} ${KV} await kv.put('lock', 'another')`,
    after: `assert.equal(succeeded, false); await untilPrinted('another', async () => {}); ${CLOSE}`,
  },
  {
    of: 'docs/reference/client.md: await kv.transact(async (tx) => {',
    before: `${ASSERT} ${KV} await kv.put('done/1', '')`,
    after: `
      assert.equal(await kv.count({ prefix: 'done/' }), 0);
      assert.equal((await kv.get('n'))?.text(), '1');
      ${CLOSE}`,
  },
]
