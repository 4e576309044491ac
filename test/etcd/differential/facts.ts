// Facts of a response that can be the same on both servers. Sizes, hashes, addresses and tokens are a server's own.

import type { Json, JsonObject } from './frame.ts'

const isSome = (json: Json | undefined): boolean => json !== undefined && json !== ''
const count = (json: Json | undefined): number => (Array.isArray(json) ? json.length : 0)

const FACTS: Readonly<Record<string, (response: JsonObject) => JsonObject>> = {
  authenticate: ({ header = {}, token }) => ({ header, hasToken: isSome(token) }),
  status: ({ header = {}, leader = null, isLearner = false, errors = [], ...others }) => ({
    ...{ header, leader, isLearner, errors },
    isVersion: /^3\.\d+\.\d+$/.test(String(others.version)),
    isApplied:
      Number(others.raftAppliedIndex) > 0 && Number(others.raftAppliedIndex) <= Number(others.raftIndex),
    hasTerm: Number(others.raftTerm) > 0,
  }),
  authStatus: ({ header = {}, enabled = false, authRevision = 0 }) => ({
    ...{ header, enabled },
    isRevised: Number(authRevision) > 0,
  }),
  hash: ({ header = {} }) => ({ header }),
  hashKv: ({ header = {}, compactRevision = 0 }) => ({ header, compactRevision }),
  memberList: describeMembers,
  memberRemove: describeMembers,
  memberPromote: describeMembers,
}

function describeMembers({ header = {}, members }: JsonObject): JsonObject {
  const list = Array.isArray(members) ? (members as readonly JsonObject[]) : []
  return {
    header,
    members: list.map(({ id = null, name, peerUrls, clientUrls, isLearner = false }) => ({
      ...{ id, isLearner, hasName: isSome(name), peers: count(peerUrls), clients: count(clientUrls) },
    })),
  }
}

/** `response`: as the frame shows it. */
export const factsOf = (rpc: string, response: JsonObject): JsonObject => FACTS[rpc]?.(response) ?? response
