// From the list of known bugs that the catalogue began with: those that this design makes impossible.

import type { Impossible } from '../mutant.ts'

export const IMPOSSIBLE_HERE: readonly Impossible[] = [
  {
    id: 'M06',
    title: 'duplicate votes of one replica are counted twice',
    because:
      'Votes are kept by replica id and counted by asking for each voter’s own: there is no counter to raise twice.',
  },
  {
    id: 'M24',
    title: 'an append behind index 0 is taken blindly after compaction',
    because:
      'An append that begins below the commit index is only acknowledged, and nothing is compacted beyond that: behind index 0 there is nothing but an empty log.',
  },
  {
    id: 'M52',
    title: 'a watch loses, splits or repeats events',
    because: 'There are no watches.',
  },
  {
    id: 'M53',
    title: 'a lease of a key is revoked outside the log, or shortened by a failover',
    because: 'Keys have no leases and no time to live.',
  },
  {
    id: 'M63',
    title: 'a configuration counts from when it is committed, not from when it is appended',
    because:
      'That is what is done on purpose: it counts from when it is applied, and changes of voters always go through a joint configuration (RAFT-15, RAFT-17).',
  },
]
