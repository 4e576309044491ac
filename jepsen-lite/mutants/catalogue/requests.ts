// Requests of clients: applied once, alike on every replica, and answered truthfully.

import type { Mutant } from '../mutant.ts'
import { DRIVER_TESTS, edit, KV_TESTS, RAFT_PROPOSALS, RAFT_TESTS, SIM, SIM_UNIT, UNIT } from './edit.ts'

const APPLY = 'src/kv/apply.ts'
const TOKENS = 'src/kv/idempotency.ts'
const PROPOSALS = 'src/server/node/proposals.ts'
const GATHERED = 'src/server/node/write-coalescer.ts'
const GATHERED_TESTS = ['test/server/node/write-coalescer.test.ts']
const SETTINGS_ROUTE = 'src/server/http/cluster.ts'
const SETTINGS_TESTS = ['test/server/http/api.int.test.ts']

export const REQUESTS: readonly Mutant[] = [
  {
    id: 'M45',
    title: 'a token whose outcome was forgotten executes its request again',
    why: 'A copy of a request that arrives late is applied a second time.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        APPLY,
        'if (since !== undefined && isForgotten(since, state))',
        'if (since !== undefined && since < 0 && isForgotten(since, state))',
      ),
    ],
  },
  {
    id: 'M47',
    title: 'any entry applied at its index answers a proposal',
    why: 'After a change of leadership that may be an entry of another client.',
    layers: SIM,
    edits: [
      edit(
        RAFT_PROPOSALS,
        '        this.#actions.append(proposal.frame, clusterTimeMs)\n      }\n      this.#actions',
        "        this.#actions.append(proposal.frame, clusterTimeMs)\n        this.#outcomes.push({ seq: proposal.seq, outcome: 'committed', index: this.#replica.log.last })\n      }\n      this.#actions",
      ),
    ],
  },
  {
    id: 'M48',
    title: 'a write that no majority has confirmed in time is answered as not written',
    why: 'It may be committed later (an aborted read, as the etcd clients had it).',
    layers: SIM,
    edits: [
      edit(
        PROPOSALS,
        "unknown('it was handed to the log, but no majority confirmed it before the time ran out'),",
        "notWritten('no_leader', 'it was handed to the log, but no majority confirmed it before the time ran out'),",
      ),
    ],
  },
  {
    id: 'M49',
    title: 'a write of unknown outcome is proposed again',
    why: 'It may be in the log already, and is applied twice (jetcd 0.8.2).',
    layers: SIM_UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        PROPOSALS,
        "this.#end(waiter, unknown('the entries that tell what became of it were replaced by a snapshot'))",
        "this.#park(waiter, { reason: 'not-leader' })",
      ),
    ],
  },
  {
    id: 'M50',
    title: 'apply uses the clock of its machine',
    why: 'Replicas drift apart.',
    layers: SIM,
    edits: [
      edit(
        'src/server/node/applier.ts',
        'const timeMs = frameClusterTimeMs(frame)',
        'const timeMs = frameClusterTimeMs(frame) + Math.floor(performance.now())',
      ),
    ],
  },
  {
    id: 'M51',
    title: 'a condition that fails raises the revision',
    why: 'The revision rises without a change.',
    layers: SIM,
    edits: [
      edit(
        APPLY,
        '  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)\n\n  const leaseFault',
        '  if (!conditionHolds(condition, current)) {\n    state.revision = asRevision(state.revision + 1)\n    return preconditionFailed(current, state)\n  }\n  const leaseFault',
      ),
    ],
  },
  {
    id: 'M79',
    title: 'an unknown outcome gets the status of a refusal',
    why: 'A client considers it certain that nothing was written, and writes again.',
    layers: UNIT,
    tests: ['test/server/reference.test.ts', 'test/server/http/keys.int.test.ts'],
    edits: [
      edit(
        'src/server/http/problem.ts',
        'outcome_unknown: { status: 504,',
        'outcome_unknown: { status: 503,',
      ),
    ],
  },
  {
    id: 'M93',
    title: 'a forwarded proposal that arrives twice is appended twice',
    why: 'The network doubled it, or it was sent again after a reconnect.',
    layers: SIM,
    edits: [
      edit(
        RAFT_PROPOSALS,
        'if (!seqs.isNew(from, boot, seq)) {',
        'if (seqs.refusal(from, boot, seq) !== undefined) {',
      ),
    ],
  },
  {
    id: 'M94',
    title: 'a proposal is given up while its term still runs',
    why: 'The client is told "not written" about an entry in the log, and the request is proposed again.',
    layers: SIM_UNIT,
    tests: RAFT_TESTS,
    edits: [
      edit('src/raft/outcomes.ts', 'if (waiting.term >= term) return', 'if (waiting.term > term) return'),
    ],
  },
  {
    id: 'M95',
    title: 'forgetting outcomes does not raise the horizon',
    why: 'A forgotten token is accepted as a new one.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [edit(TOKENS, '    horizon = row.revision\n', '')],
  },
  {
    id: 'M96',
    title: 'a token answers another request than the one it was used for',
    why: 'The second request is treated as a repeat, and is never executed.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        TOKENS,
        "  if (!equalBytes(tokenRow.subarray(0, FINGERPRINT_BYTES), print)) return 'other-request'\n",
        '',
      ),
    ],
  },
  {
    id: 'M97',
    title: 'If-None-Match is ignored when If-Match holds',
    why: 'RFC 9110 §13.2.2 requires both.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        'src/kv/condition.ts',
        'if (ifMatch !== undefined && !matches(ifMatch, current)) return false',
        'if (ifMatch !== undefined) return matches(ifMatch, current)',
      ),
    ],
  },
  {
    id: 'M993',
    title: 'all changes that were gathered into one entry get the outcome of the first',
    why: 'A client is told another revision than that of its change, and that a condition held which did not.',
    layers: UNIT,
    tests: GATHERED_TESTS,
    edits: [edit(GATHERED, 'result.value.outcome.outcomes[at]', 'result.value.outcome.outcomes[0]')],
  },
  {
    id: 'M994',
    title: 'puts and deletes are gathered into one entry',
    why: 'A node whose disk is nearly full refuses the deletes as well, and never gets room.',
    layers: UNIT,
    tests: GATHERED_TESTS,
    edits: [edit(GATHERED, '      group.commands[0]?.kind === kind &&\n', '')],
  },
  {
    id: 'M995',
    title: 'the row of events in memory is taken for the newest one although the state is another one',
    why: 'After a snapshot or a compaction the events of other revisions are written into the row.',
    layers: UNIT,
    tests: ['test/kv/replicas.prop.test.ts', 'test/kv/history.prop.test.ts'],
    edits: [edit('src/kv/history.ts', 'if (!isShort || this.#newest?.history !== history)', 'if (!isShort)')],
  },
  {
    id: 'M98',
    title: 'waiting proposals have no limit',
    why: 'Proposals that cannot be committed pile up until the memory is full.',
    layers: UNIT,
    tests: DRIVER_TESTS,
    edits: [
      edit(
        PROPOSALS,
        'if (this.#size + count <= proposalsMax && this.#bytes + bytes <= proposalBytesMax) return undefined',
        'if (this.#waiters.size + proposalsMax + proposalBytesMax >= 0) return undefined',
      ),
    ],
  },
  {
    id: 'M99',
    title: 'the size of a replaced value is not subtracted',
    why: 'The store considers itself full long before it is.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        APPLY,
        'const storeBytes = state.storeBytes - freed + key.length + value.length',
        'const storeBytes = state.storeBytes + Math.min(freed, 0) + key.length + value.length',
      ),
    ],
  },
  {
    id: 'M140',
    title: 'the log holds a damaged value',
    why: 'Every replica stores the same wrong bytes and every read shows them. A check that only replays the log finds nothing.',
    layers: SIM,
    edits: [
      edit(
        'src/kv/codec/request.ts',
        "if (command.kind === 'put') target.set(command.value, keyAt + 2 + key.length)",
        "if (command.kind === 'put') target.set(command.value.map((byte, at) => byte ^ Number(at === 0)), keyAt + 2 + key.length)",
      ),
    ],
  },
  {
    id: 'M156',
    title: 'a token in use since exactly the horizon is accepted as new',
    why: 'A request that changed nothing has the revision of its since: a late copy of it is executed. Our own, found by review.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        TOKENS,
        'since < tokens.horizon || (since === tokens.horizon && since < revision)',
        'since < tokens.horizon && since < revision',
      ),
    ],
  },
  {
    id: 'M157',
    title: 'a change of settings raises no revision',
    why: 'A late copy of an earlier change of settings looks like a new one, and is made again.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        APPLY,
        '    state.revision = asRevision(state.revision + 1)\n    const begins',
        '    const begins',
      ),
    ],
  },
  {
    id: 'M158',
    title: 'every token in use since the horizon is refused',
    why: 'While nothing changes, clients have no newer revision: none of them can write again.',
    layers: SIM_UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        TOKENS,
        '(since === tokens.horizon && since < revision)',
        '(since === tokens.horizon && since <= revision)',
      ),
    ],
  },
  {
    id: 'M171',
    title: 'reasons of refusals are renumbered',
    why: 'Two versions of the program hold different rows for the same entry. Texts did the same. Our own.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        'src/kv/rejections.ts',
        "  'empty-key',\n  'key-too-long',\n",
        "  'key-too-long',\n  'empty-key',\n",
      ),
    ],
  },
  {
    id: 'M172',
    title: 'the cluster version is raised although the version of a member is unknown',
    why: 'A member that is away and too old stops at that entry when it comes back.',
    layers: UNIT,
    tests: ['test/server/node/cluster-version.test.ts'],
    edits: [
      edit(
        'src/server/node/cluster-version.ts',
        'if (version === undefined) return [',
        'if (version === undefined) return []; if (version < 0) return [',
      ),
    ],
  },
  {
    id: 'M190',
    title: "the refusal of a since beyond the store's revision is not remembered",
    why: 'A late copy of the request is applied once the store has reached that revision, although "nothing was written" was answered.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        APPLY,
        '  const outcome = refusalOfSince(request, state) ?? ',
        '  const ahead = refusalOfSince(request, state)\n  if (ahead !== undefined) return evicting({ outcome: ahead, replayed: false }, state, rows)\n  const outcome = ',
      ),
    ],
  },
  {
    id: 'M191',
    title: 'the length of a key is truncated to its field',
    why: 'A put of a longer key becomes one of another key, with the rest of the key before the value.',
    layers: UNIT,
    tests: KV_TESTS,
    edits: [
      edit(
        'src/kv/codec/request.ts',
        'writeUint16(target, keyAt, key.length)',
        'writeUint16(target, keyAt, key.length & 0xffff)',
      ),
    ],
  },
  {
    id: 'M192',
    title: 'an import relies on the reported size of a file',
    why: 'Content beyond that size is left out without an error.',
    layers: UNIT,
    tests: ['test/cli/import-files.test.ts'],
    edits: [
      edit(
        'src/cli/import-files.ts',
        '    at += read\n',
        '    at += read\n    if (at >= size) return bytes.subarray(0, size)\n',
      ),
    ],
  },
  {
    id: 'M193',
    title: 'a repeated change of settings is answered with the current settings',
    why: 'A repeat gets another answer than the first attempt.',
    layers: UNIT,
    tests: SETTINGS_TESTS,
    edits: [edit(SETTINGS_ROUTE, 'settingsJson(outcome.settings, ', 'settingsJson(node.status().settings, ')],
  },
  {
    id: 'M194',
    title: 'lease settings that are not named are taken from a node that may lag behind',
    why: 'Leases that were switched off are on again without a request.',
    layers: UNIT,
    tests: SETTINGS_TESTS,
    edits: [
      edit(
        SETTINGS_ROUTE,
        '  const set = (): void => {\n    const { on, durationMs } = node.status().raft.leases\n',
        '  const { on, durationMs } = node.status().raft.leases\n  const set = (): void => {\n',
      ),
    ],
  },
  {
    id: 'M195',
    title: 'a file that is replaced becomes readable for all users',
    why: 'Private content becomes visible to others.',
    layers: UNIT,
    tests: ['test/cli/files.int.test.ts'],
    edits: [
      edit(
        'src/cli/export-files.ts',
        'replace(path, value, found.mode & 0o777)',
        'replace(path, value, 0o644)',
      ),
    ],
  },
  {
    id: 'M196',
    title: 'an import skips values above the limits that one node reports',
    why: 'A node that lags behind reports limits that were raised since: files that the cluster accepts are left out.',
    layers: UNIT,
    tests: ['test/cli/files.int.test.ts'],
    edits: [
      edit(
        'src/cli/commands/import.ts',
        '  const tooLarge = whyTooLarge(key, value)\n',
        `  const { value_bytes_max: told } = await client.settings({ signal })
  const tooLarge = value.length > Number(told) ? 'too large' : whyTooLarge(key, value)\n`,
      ),
    ],
  },
  {
    id: 'M197',
    title: 'a learner that was started again at other addresses counts as present',
    why: 'The cluster never reaches it, and no message says so.',
    layers: UNIT,
    tests: SETTINGS_TESTS,
    edits: [edit(SETTINGS_ROUTE, 'there.peer === peer && there.url === url', 'there !== undefined')],
  },
]
