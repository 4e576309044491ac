// The tests of etcd that cannot pass on quorate, with the reason.

const testsWith = (reason: string, ...names: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name) => [name, reason]))

const V2 = [
  ...['Set', 'SetQuorum', 'SetClientTLS', 'SetPeerTLS', 'SetTLS', 'Mk', 'MkQuorum', 'MkTLS', 'Rm', 'RmTLS'],
  ...['Ls', 'LsQuorum', 'LsTLS', 'Watch', 'WatchTLS', 'GetRoleUser', 'UserListUsername', 'UserListRoot'],
  ...['RoleList', 'Backup', 'BackupSnapshot', 'BackupV3', 'BackupV3Snapshot', 'AuthWithCommonName'],
  'ClusterHealth',
].map((name) => `TestCtlV2${name}`)
const V2_CURL = ['NoTLS', 'AutoTLS', 'AllTLS', 'PeerTLS', 'ClientTLS', 'ClientBoth', 'Issue5182'].map(
  (name) => `TestV2Curl${name}`,
)
const VARIANTS = ['', 'NoTLS', 'ClientTLS', 'ClientAutoTLS', 'PeerTLS']

/** End-to-end tests of 3.4. */
export const CANNOT_PASS: Readonly<Record<string, string>> = {
  ...testsWith('The API of version 2 is not served.', ...V2, ...V2_CURL),
  ...testsWith('It migrates the store of version 2.', 'TestCtlV3Migrate'),
  ...testsWith(
    'A snapshot is a backup of quorate, which `etcdctl snapshot status` and `restore` cannot read.',
    ...['TestCtlV3Snapshot', 'TestCtlV3SnapshotStatusBeforeRestore'],
    ...['TestCtlV3AuthSnapshot', 'TestCtlV3AuthSnapshotJWT', 'TestIssue6361'],
  ),
  ...testsWith('It damages the database file of etcd.', 'TestEtcdCorruptHash'),
  ...testsWith(
    'A node adds itself, and announces its addresses itself.',
    ...VARIANTS.flatMap((variant) => [`TestCtlV3MemberAdd${variant}`, `TestCtlV3MemberUpdate${variant}`]),
    ...['TestCtlV3MemberAddForLearner', 'TestCtlV3AuthMemberAdd', 'TestCtlV3AuthMemberUpdate'],
  ),
  ...testsWith(
    'The role root is built in: it can neither be made twice nor have permissions.',
    ...['', 'NoTLS', 'ClientTLS', 'PeerTLS'].map((variant) => `TestCtlV3RoleAdd${variant}`),
    'TestCtlV3RoleGrant',
  ),
  ...testsWith('Only who administers reads roles, not who has one.', 'TestCtlV3AuthRoleGet'),
  ...testsWith('A password is not empty.', 'TestCtlV3AuthCertCN', 'TestCtlV3AuthCertCNAndUsername'),
  ...testsWith(
    'Its list of revoked certificates ended in 2021: a node refuses to start with it.',
    'TestCtlV3GetRevokedCRL',
  ),
  ...testsWith('It expects the ids of one cluster of etcd, byte by byte.', 'TestCtlV3GetFormat'),
  ...testsWith(
    'The alarm for space follows the store by itself: nothing disarms it, and /health has other reasons.',
    'TestCtlV3Alarm',
  ),
  ...testsWith('It reads metrics by their names in etcd.', 'TestV3MetricsSecure', 'TestV3MetricsInsecure'),
  ...testsWith(
    'The ciphers of TLS cannot be chosen.',
    'TestV3CurlCipherSuitesValid',
    'TestV3CurlCipherSuitesMismatch',
  ),
  ...testsWith(
    'The number of streams of a connection cannot be chosen.',
    ...['NoTLS_Small', 'NoTLS_Medium', 'TLS_Small', 'TLS_Medium'].map(
      (variant) => `TestV3Curl_MaxStreams_ReachLimit_${variant}`,
    ),
  ),
  ...testsWith('A node has one address for its peers.', 'TestEtcdMultiPeer', 'TestEtcdUnixPeers'),
  ...testsWith('A node has no configuration file.', 'TestEtcdExampleConfig'),
  ...testsWith(
    'The certificate of a peer has the name of the member, or its host: a common name admits nobody.',
    'TestEtcdPeerCNAuth',
    'TestEtcdPeerNameAuth',
  ),
}

/** Common tests of 3.6. */
export const COMMON_CANNOT_PASS: Readonly<Record<string, string>> = {
  ...testsWith(
    'The alarm for space follows the store by itself, and the quota is a setting of the cluster.',
    ...['TestAlarm', 'TestAlarmlistOnMemberRestart', 'TestAuthAlarm'],
  ),
  ...testsWith('`LeaseLeases` lists the leases that the user was granted.', 'TestAuthLeaseLeases'),
  ...testsWith('A node adds itself.', 'TestAuthMemberAdd'),
  ...testsWith(
    'The role root is built in: it is listed while somebody has it, and not before.',
    ...['TestAuthRoleList', 'TestRootRole'],
  ),
  ...testsWith('A password is not empty.', 'TestUserAdd_Simple'),
}
