// The shells in which the commands of the pages run, and how a test handles a command: what it prepares, when it
// interrupts a command that runs until Ctrl-C, and which request has the answer that a page shows.

import { BLOCKS, type Block, blockNamed } from './blocks.ts'
import { isRun } from './not-run.ts'
import type { Handling } from './shell.ts'

/** The blocks of each shell, in order: pages, or what the name of one block begins with. */
export const SHELLS = {
  /** Begins with nothing: the pages start the cluster. */
  'a local cluster': [
    'docs/guides/local-cluster.md: $ npx quorate cluster start',
    'docs/guides/local-cluster.md: $ npx quorate cluster kill',
    'docs/guides/local-cluster.md: $ npx quorate cluster partition',
    'README.md',
    'docs/guides/local-cluster.md',
    'docs/guides/membership.md: quorate node start --name n4',
    'docs/guides/membership.md: quorate member remove n4',
  ],
  'nodes one by one': [
    'docs/guides/membership.md: quorate node start --name n1',
    'docs/guides/membership.md: quorate node start --name n2',
    'docs/guides/membership.md: mv ',
  ],
  /** Begins with nothing: the page starts a cluster that checks rights. */
  'users and roles': [
    'docs/guides/users.md',
    'docs/reference/http.md: {"type":"delete","key":"jobs/1","mod_revision":5,"by":"bob"',
  ],
  /** Finds a cluster of three nodes. */
  'a cluster that is there': [
    'docs/reference/http.md',
    'docs/reference/errors.md',
    'docs/reference/protocol.md',
    'docs/reference/cli.md',
    'docs/guides/scripts.md',
    'docs/guides/locks.md',
    'docs/guides/leader-election.md',
    'docs/coming-from/consul.md',
    'docs/coming-from/etcd.md',
    // Last, when the other pages no longer need their keys and their history.
    'docs/reference/http.md: curl 127.0.0.1:7301/v1/revision',
    'docs/reference/http.md: {"revision":1000000}',
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>

const NAMED: ReadonlySet<Block> = new Set(
  Object.values(SHELLS).flatMap((entries) =>
    entries.filter((entry) => !entry.endsWith('.md')).map(blockNamed),
  ),
)

/** Blocks of an entry. A page stands for all of its blocks that no other entry names. */
export const shellBlocksOf = (entry: string): readonly Block[] =>
  entry.endsWith('.md')
    ? BLOCKS.filter((block) => block.page === entry && isOfShell(block) && !NAMED.has(block))
    : [blockNamed(entry)]

export const isOfShell = (block: Block): boolean => block.info !== 'ts' && isRun(block)

export interface OfCommand extends Handling {
  /** The beginning of the name of the block. */
  readonly of: string
  /** The beginning of the command. */
  readonly command: string
  /** Texts of the command that a test must change, with their replacements. */
  readonly change?: Readonly<Record<string, string>>
  /** Its output, if the page does not show it. */
  readonly prints?: RegExp
  /** Its exit code, where the page names none in a comment (`# exit code 5 or 6`): 0 unless given. */
  readonly code?: number
}

/** The exit code of curl when the answer is an error (test/docs/shell.ts). */
const REFUSED = 22

const LEADS = { until: 'leader in term', stays: true }
const VOTES = (name: string) => ({ until: `[ "]${name} is a voter`, stays: true })
/** A change by curl, which starts faster than a process of Node.js. */
const put = (key: string, value: string) => `curl -X PUT 127.0.0.1:7301/v1/kv/${key} -d ${value}`
const remove = (key: string) => `curl -X DELETE 127.0.0.1:7301/v1/kv/${key}`
/** The first number of what a command prints: the revision in an answer, the id of a session. */
const numberOf = (command: string) => `$(${command} | grep -oE "[0-9]+" | head -n 1)`

export const COMMANDS: readonly OfCommand[] = [
  {
    of: 'docs/guides/local-cluster.md: $ npx quorate cluster partition',
    command: 'npx quorate cluster partition',
    // The node that was just restarted needs a moment until it can prove the age of its state. A reader is slower.
    before:
      'quorate --endpoints http://127.0.0.1:7301 --consistency stale --max-staleness 1m get config/greeting',
  },
  {
    of: 'docs/guides/local-cluster.md: $ npx quorate cluster partition',
    command: 'npx quorate --endpoints http://127.0.0.1:7301 --timeout 2s get',
    // A busy machine may need longer to refuse.
    change: { '--timeout 2s': '--timeout 8s' },
    code: 5,
  },
  {
    of: 'docs/guides/membership.md: quorate node start --name n4',
    command: 'quorate node start --name n4',
    ...VOTES('n4'),
  },
  {
    of: 'docs/guides/membership.md: quorate node start --name n4',
    command: 'quorate node start --name n5',
    ...VOTES('n5'),
  },
  {
    of: 'docs/guides/membership.md: quorate node start --name n1',
    command: 'quorate node start',
    ...LEADS,
  },
  {
    of: 'docs/guides/membership.md: quorate node start --name n2',
    command: 'quorate node start --name n2',
    ...VOTES('n2'),
  },
  {
    of: 'docs/guides/membership.md: quorate node start --name n2',
    command: 'quorate node start --name n3',
    ...VOTES('n3'),
  },
  {
    of: 'docs/guides/membership.md: mv ',
    command: 'mv ',
    before: 'set -- $jobs; kill -INT -- -$2; wait $2; test $? = 130',
  },
  { of: 'docs/guides/membership.md: mv ', command: 'quorate node start', ...VOTES('n2') },

  {
    of: 'docs/guides/users.md: export KV_USER=shop',
    command: 'quorate get shop/greeting',
    prints: /^hello$/,
  },
  {
    of: 'docs/guides/users.md: export KV_USER=root',
    command: 'quorate role show shop',
    prints: /^read --prefix shop\/$/m,
  },
  {
    of: 'docs/guides/users.md: quorate history',
    command: 'quorate history',
    prints: /\tput\t1\thello\tshop\n$/,
  },

  {
    of: 'docs/guides/scripts.md: export KV_ENDPOINTS',
    command: 'quorate get config/app > ',
    before: `${put('config/app', 'mode=blue')}; ${put('services/a', 'http://a')}; ${put('services/b', 'http://b')}`,
  },
  {
    of: 'docs/guides/scripts.md: export KV_ENDPOINTS',
    command: 'quorate ls',
    prints: /^http:\/\/a\nhttp:\/\/b\n/,
  },
  {
    of: 'docs/guides/scripts.md: export KV_ENDPOINTS',
    command: 'quorate get config/app -o',
    prints: /^\d+\n$/,
  },
  { of: 'docs/guides/scripts.md: record=', command: 'record=', before: put('counter', '41') },
  { of: 'docs/guides/scripts.md: record=', command: 'case', prints: /^$/ },
  {
    of: 'docs/guides/scripts.md: quorate import',
    command: 'quorate import conf/',
    before: 'mkdir -p conf/web && echo blue >conf/mode && echo 80 >conf/web/port',
    prints: /2 keys/,
  },
  {
    of: 'docs/guides/scripts.md: quorate import',
    command: 'quorate export prod/conf/',
    before: 'rm conf/mode',
    prints: /2 keys/,
  },
  {
    of: 'docs/guides/scripts.md: quorate import',
    command: 'quorate export >',
    before: 'grep -q blue conf/mode',
  },
  {
    of: 'docs/guides/scripts.md: quorate import',
    command: 'quorate import records',
    before: 'grep -q end records.ndjson',
  },
  {
    of: 'docs/guides/scripts.md: quorate watch --prefix conf/ -o',
    command: 'quorate watch --prefix conf/ -o',
    // jq buffers its output to a file.
    change: { 'jq -r': 'jq --unbuffered -r' },
    until: '^[0-9]+$',
    act: `${put('conf/a', '1')}; sleep 0.05`,
  },
  {
    of: 'docs/guides/scripts.md: quorate watch --prefix conf/ -o',
    command: 'quorate watch --prefix conf/ --exec',
    before: 'printf "#!/bin/sh\\njq -r .events[0].kv.value\\n" >reload.sh; chmod +x reload.sh',
    until: '^loaded$',
    act: `${put('conf/a', 'loaded')}; sleep 0.05`,
  },
  {
    of: 'docs/guides/scripts.md: quorate watch --prefix conf/ --from "$(($(cat done)',
    command: 'quorate watch',
    before: `echo ${numberOf(put('conf/a', '1'))} >done; cp reload.sh apply.sh; ${put('conf/a', 'applied')}`,
    until: '^applied$',
  },
  {
    of: 'docs/guides/scripts.md: quorate export conf/',
    command: 'revision=',
    before: 'grep -q applied conf.ndjson',
  },
  {
    of: 'docs/guides/scripts.md: quorate export conf/',
    command: 'quorate watch',
    before: put('conf/a', 'later'),
    until: '^later$',
  },
  {
    of: 'docs/guides/scripts.md: source <(',
    command: 'quorate completion fish',
    // The syntax of another shell.
    change: { '| source': '| grep complete' },
    prints: /^complete --command quorate /m,
  },

  {
    of: 'docs/guides/locks.md: quorate lock deploy',
    command: 'quorate lock',
    before: 'printf "#!/bin/sh\\necho \\$1 \\$KV_LOCK_KEY\\n" >deploy.sh; chmod +x deploy.sh',
    prints: /^production "lock\/deploy\//m,
  },
  {
    of: 'docs/guides/leader-election.md: quorate elect',
    command: 'quorate elect scheduler http',
    before: 'echo "console.log(process.env.KV_LOCK_KEY)" >scheduler.js',
    prints: /^"election\/scheduler\//m,
  },
  {
    of: 'docs/guides/leader-election.md: quorate elect',
    command: 'quorate elect scheduler --listen',
    until: 'http://leads',
    act: 'quorate elect scheduler http://leads -- true',
  },
  { of: 'docs/reference/protocol.md: GET /v1/connect', command: 'GET', prints: /^HTTP\/1.1 101 / },
  {
    of: 'docs/reference/cli.md: quorate lock report',
    command: 'quorate lock',
    prints: /"succeeded": true/,
  },
  {
    of: 'docs/coming-from/consul.md: consul kv',
    command: 'consul kv',
    // The response of Consul.
    before: 'consul() { echo \'[{"key":"app/mode","flags":0,"value":"Z3JlZW4="}]\'; }',
    prints: /1 /,
  },
  {
    of: 'docs/coming-from/etcd.md: $ curl -s http',
    command: 'curl -sN http://127.0.0.1:7301/v3/watch',
    until: 'created',
  },
  { of: 'docs/reference/http.md: curl -i -X PUT', command: 'curl', prints: /^HTTP\/1.1 412 /, code: REFUSED },
  {
    of: 'docs/reference/http.md: curl 127.0.0.1:7301/v1/changes',
    command: 'curl',
    before: `${remove('greeting')}; ${put('greeting', 'hello')}; counter=${numberOf(put('counter', '41'))}`,
    change: { '[3]': "['$counter']" },
  },
  {
    of: "docs/reference/http.md: curl -X DELETE '127.0.0.1:7301/v1/kv?prefix=session/'",
    command: 'curl',
    before: `for n in 1 2 3; do ${put('session/$n', 'a')}; done`,
  },
  {
    of: 'docs/reference/http.md: curl 127.0.0.1:7301/v1/txn',
    command: 'curl',
    change: { '"to":4': `"to":'$((counter + 1))'` },
  },
  {
    of: "docs/reference/http.md: curl -N '127.0.0.1:7301/v1/watch",
    command: 'curl',
    until: 'event: created',
  },
  {
    of: 'docs/reference/http.md: curl -X PUT 127.0.0.1:7301/v1/kv/orders/19',
    command: 'curl',
    before: `session=${numberOf("curl -X POST 127.0.0.1:7301/v1/sessions -H 'Content-Type: application/json'")}`,
    change: { 'Kv-Session: 7;': "Kv-Session: '$session';" },
    prints: /"version":1/,
  },
  {
    of: 'docs/reference/http.md: curl 127.0.0.1:7301/v1/leases',
    command: 'curl 127.0.0.1:7301/v1/leases',
    prints: /^\{"id":"42","ttl_ms":30000\}$/,
  },
  {
    of: 'docs/reference/http.md: curl 127.0.0.1:7301/v1/leases',
    command: 'curl -X PUT',
    prints: /"version":1/,
  },
  {
    of: 'docs/reference/http.md: curl 127.0.0.1:7301/v1/leases',
    command: 'curl -X POST',
    prints: /^\{"ttl_ms":30000\}$/,
  },
  {
    of: 'docs/reference/http.md: curl 127.0.0.1:7301/v1/revision',
    command: 'curl',
    before: "curl -X DELETE '127.0.0.1:7301/v1/kv?prefix=&all=true'",
  },
]

export const isAbout = ({ of, command: beginning }: OfCommand, block: Block, command: string): boolean =>
  command.startsWith(beginning) && blockNamed(of) === block

export interface Answer extends Handling {
  /** The beginning of the name of the block that shows a response. */
  readonly of: string
  /** The command that is answered so; the command before the block unless given. */
  readonly to?: string
  readonly code?: number
}

/** The answer that the block shows. */
export const answerOf = (block: Block): Answer | undefined =>
  ANSWERS.find(({ of }) => blockNamed(of) === block)

/** Whether the block has no command, and shows what was printed. */
export const isAnswer = (block: Block): boolean =>
  block.info !== 'sh' && block.info !== 'console' && !isRequest(block)

/** Whether the block is a request as it is sent. */
export const isRequest = ({ text }: Block): boolean => /^[A-Z]+ \//.test(text)

const GREETING = '127.0.0.1:7301/v1/kv/greeting'

export const ANSWERS: readonly Answer[] = [
  { of: 'docs/guides/local-cluster.md: {"cluster_id"', to: 'quorate cluster status -o json' },
  { of: 'docs/reference/http.md: {"key":"greeting"', to: `curl ${GREETING} -H 'Accept: application/json'` },
  { of: 'docs/reference/http.md: {"revision":3,"create_revision":2', to: `curl -X PUT ${GREETING} -d hi` },
  { of: 'docs/reference/http.md: {"deleted":1', to: `curl -X DELETE ${GREETING}` },
  {
    of: 'docs/reference/http.md: {"kvs":[',
    before: `for key in f greeting h i j; do ${put('$key', '1')}; done`,
    to: "curl '127.0.0.1:7301/v1/kv?start=f&end=k&limit=2&count'",
  },
  {
    of: 'docs/reference/http.md: {"end":true',
    to: "curl '127.0.0.1:7301/v1/kv?start=f&end=h' -H 'Accept: application/x-ndjson' | tail -n 1",
  },
  { of: 'docs/reference/http.md: {"revision":5,"results"' },
  { of: 'docs/reference/http.md: {"deleted":3' },
  { of: 'docs/reference/http.md: {"succeeded":true' },
  { of: 'docs/reference/http.md: {"compact_revision"' },
  { of: 'docs/reference/http.md: {"session":7' },
  { of: 'docs/reference/http.md: {"revision":1000000}' },
  { of: 'docs/reference/http.md: {"kind":"node"', to: 'curl 127.0.0.1:7301/ui/console.json' },
  {
    of: 'docs/reference/http.md: event: created',
    before: `from=${numberOf(put('jobs/1', 'run'))}; ${remove('jobs/1')}; ${put('other', '1')}`,
    // Up to the data of the first progress.
    to: 'curl -N "127.0.0.1:7301/v1/watch?prefix=jobs/&from=$from&progress=100ms" | sed "/progress/{n;n;q}"',
  },
  {
    of: 'docs/reference/http.md: {"type":"created"',
    to: 'curl -N "127.0.0.1:7301/v1/watch?prefix=jobs/&from=$((from + 1))&progress=100ms" -H "Accept: application/x-ndjson" | sed /progress/q',
  },
  {
    of: 'docs/reference/http.md: {"type":"delete","key":"jobs/1","mod_revision":5,"by":"bob"',
    before: `quorate user add bob --role root --password-file shop.password
( export KV_USER=bob KV_PASSWORD="$(cat shop.password)"; quorate put jobs/1 run; quorate del jobs/1 )`,
    to: `curl -N -u "root:$KV_PASSWORD" "127.0.0.1:7301/v1/watch?prefix=jobs/&from=1&time=true" | grep -om 1 '{"type":"delete"[^}]*}'`,
  },
  {
    of: 'docs/reference/errors.md: {"type":"urn:quorate:problem:key_too_long"',
    to: 'curl -X PUT "127.0.0.1:7301/v1/kv/$(printf %5000s | tr " " k)" -d a',
    code: REFUSED,
  },
  {
    of: 'docs/reference/cli.md: error: line 3',
    before: `printf '{\n  "success": [\n    { "put": { "key": "jobs/42", "prev": true, "value": 5 } }]}' >job.json`,
    to: 'quorate txn job.json 2>&1',
    code: 2,
  },
  {
    of: 'docs/reference/cli.md: {"revision":41',
    before: `from=${numberOf(put('a', '1'))}; ${remove('a')}`,
    to: 'quorate watch a --from "$from" -o ndjson 2>/dev/null',
    until: 'delete',
  },
]
