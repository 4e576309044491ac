// Modules that the client library loads when they are needed. Some test runners load a module in several turns of the
// event loop, and virtual time does not wait for these. So all are loaded before a run.

let loaded: Promise<unknown> | undefined

/** Resolves when no call of a client loads a module. */
export function loadClient(): Promise<unknown> {
  loaded ??= Promise.all([
    import('../../src/client/backup.ts'),
    import('../../src/client/lease-sessions.ts'),
    import('../../src/client/mirror.ts'),
    import('../../src/client/transact.ts'),
    import('../../src/operations/add-member.ts'),
    import('../../src/operations/change-auth.ts'),
    import('../../src/operations/change-settings.ts'),
    import('../../src/operations/cluster.ts'),
    import('../../src/operations/compact.ts'),
    import('../../src/operations/grant.ts'),
    import('../../src/operations/list-leases.ts'),
    import('../../src/operations/raise-revision.ts'),
    import('../../src/operations/remove-member.ts'),
    import('../../src/operations/replace-member.ts'),
    import('../../src/operations/revoke.ts'),
    import('../../src/operations/settings.ts'),
    import('../../src/operations/show-auth.ts'),
    import('../../src/operations/show-lease.ts'),
    import('../../src/operations/show-roles.ts'),
    import('../../src/operations/show-self.ts'),
    import('../../src/operations/show-users.ts'),
    import('../../src/operations/status.ts'),
    import('../../src/operations/transfer-leadership.ts'),
  ])
  return loaded
}
