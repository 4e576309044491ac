// Requests of clients that change the configuration of the cluster, or the setting of leader leases.

import {
  type Configuration,
  type ConfigurationChange,
  ENTRY_CONFIGURATION,
  ENTRY_LEADER_LEASES,
  encodeChange,
  encodeLeaderLeases,
  isJoint,
  type LeaderLeaseSetting,
  type Raft,
} from '../../../raft/index.ts'
import type { Clock } from '../clock.ts'
import type { Members } from '../membership/members.ts'
import type { StateWaiters } from '../membership/state-waiters.ts'
import type { Problem, Result } from '../result.ts'
import type { Proposer } from './proposer.ts'

interface ConfigurationRequestsOptions {
  readonly clock: Clock
  readonly raft: Pick<Raft, 'leaderLeases' | 'settled'>
  readonly members: Pick<Members, 'configuration'>
  readonly proposer: Pick<Proposer, 'proposeCoreEntry'>
  readonly waits: Pick<StateWaiters, 'until'>
}

export class ConfigurationRequests {
  readonly #options: ConfigurationRequestsOptions

  constructor(options: ConfigurationRequestsOptions) {
    this.#options = options
  }

  change(
    change: ConfigurationChange,
    timeoutMs: number,
    done: (result: Result<Configuration>) => void,
  ): void {
    const { clock, members, proposer, raft, waits } = this.#options
    const deadline = clock.now() + timeoutMs
    // The caller may delete a removed node after the answer.
    const settled = (): boolean => !isJoint(members.configuration) && raft.settled
    proposer.proposeCoreEntry(ENTRY_CONFIGURATION, encodeChange(change), timeoutMs, (end) => {
      if (!end.ok) {
        done(end)
        return
      }
      waits.until(settled, deadline - clock.now(), (reached) =>
        done(reached ? { ok: true, value: members.configuration } : { ok: false, problem: NOT_SETTLED }),
      )
    })
  }

  setLeaderLeases(
    setting: LeaderLeaseSetting,
    timeoutMs: number,
    done: (result: Result<LeaderLeaseSetting>) => void,
  ): void {
    const { proposer, raft } = this.#options
    proposer.proposeCoreEntry(ENTRY_LEADER_LEASES, encodeLeaderLeases(setting), timeoutMs, (end) =>
      done(end.ok ? { ok: true, value: raft.leaderLeases } : end),
    )
  }
}

const NOT_SETTLED: Problem = {
  code: 'outcome_unknown',
  detail:
    'the change is committed, but too few voters knew that the joint configuration is left before the time ran out',
  written: 'unknown',
}
