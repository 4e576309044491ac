// The suites of clients, in the order in which they run.

import { prepareGo } from './go.ts'
import { prepareJetcd } from './java.ts'
import { preparePyPi } from './python.ts'
import { preparePythonEtcd3 } from './python-etcd3.ts'
import { prepareCrate } from './rust.ts'
import { type ClientSuite, type Reasons, SUITE_PORT } from './suite.ts'

/** They stop nodes by these names. */
const PIFPAF = ['pifpaf0', 'pifpaf1', 'pifpaf2']
/** Its package with the address of etcd. */
const CILIUM = 'github.com/cilium/cilium/pkg/kvstore'

const ALARM = 'An alarm begins and ends by itself.'
const SNAPSHOT = '`etcdctl snapshot status` does not read a backup of quorate.'
const NO_STATUS = 'etcdctl of 3.6 has no `snapshot status`.'
const NO_STREAM = 'etcd has RangeStream since 3.7.'
const PEERS = 'Peers of quorate do not speak HTTP.'

/** Tests that cannot pass for one reason. */
const all = (place: string, names: readonly string[], reason: string): Reasons =>
  Object.fromEntries(names.map((name) => [`${place}::${name}`, reason]))

const ALARM_TESTS = [
  'test_create_alarm_all_members',
  'test_create_alarm_specific_member',
  'test_list_alarms',
  'test_disarm_alarm',
]
const ETCD3 = 'test_etcd3.py::TestEtcd3'
const TENACITY = all(
  ETCD3,
  ['test_lock_acquire', 'test_lock_acquire_none', 'test_lock_contended'],
  'The client does not fit the version of tenacity in Debian.',
)

export const SUITES: readonly ClientSuite[] = [
  {
    name: 'etcd-client 0.21.1 of Rust',
    nodes: ['n1'],
    flags: { quorate: ['--auth-token-ttl', '2s'], etcd: ['--auth-token-ttl', '2'] },
    rootPassword: 'rootpwd',
    cannotPass: {
      quorate: {
        test_auth_refresh_token_once_for_concurrent_calls: 'It counts logins in the metrics of etcd.',
      },
      etcd: { test_get_stream: NO_STREAM, test_get_stream_chunked: NO_STREAM },
    },
    testsMin: 32,
    // One test waits for a member that somebody adds by hand. Those of RangeStream are marked to be ignored.
    prepare: () => prepareCrate('etcd-client', '0.21.1', ['--include-ignored', '--skip', 'test_cluster']),
  },
  {
    name: 'etcd3gw 2.7.0 of Python',
    nodes: ['n1'],
    cannotPass: { quorate: {}, etcd: {} },
    testsMin: 39,
    prepare: (directory) =>
      preparePyPi(directory, {
        pin: 'etcd3gw==2.7.0',
        needs: ['pytest==9.0.3', 'oslotest==6.1.1'],
        args: ['etcd3gw/tests'],
      }),
  },
  {
    name: 'aetcd 1.0.0 of Python',
    nodes: PIFPAF,
    cannotPass: {
      quorate: {
        ...all('test_maintenance.py', ALARM_TESTS, ALARM),
        'test_maintenance.py::test_snapshot': SNAPSHOT,
        'test_cluster.py::test_member_list': PEERS,
      },
      etcd: { 'test_maintenance.py::test_snapshot': NO_STATUS },
    },
    testsMin: 93,
    prepare: (directory) =>
      preparePyPi(directory, {
        pin: 'aetcd==1.0.0',
        needs: ['pytest==9.0.3', 'pytest-asyncio==1.3.0', 'pytest-cov==7.1.0', 'pytest-mock==3.15.1'],
        args: ['--no-cov', '--with-cluster', 'tests'],
      }),
  },
  {
    name: 'etcd3 0.12 of Python',
    nodes: PIFPAF,
    cannotPass: {
      quorate: {
        [`${ETCD3}::test_watch_key_with_revision_compacted`]:
          'It compacts revision 2, before which there is no event: a watch from revision 1 loses nothing, and is served.',
        [`${ETCD3}::test_watch_responses`]: 'Each revision of the past is a response of its own.',
        [`${ETCD3}::test_member_list`]: PEERS,
        [`${ETCD3}::test_snapshot`]: SNAPSHOT,
        ...all('test_etcd3.py::TestAlarms', ALARM_TESTS, ALARM),
        ...TENACITY,
      },
      etcd: { ...TENACITY, [`${ETCD3}::test_snapshot`]: NO_STATUS },
    },
    testsMin: 82,
    prepare: preparePythonEtcd3,
  },
  {
    name: 'plugin/etcd of CoreDNS 1.15',
    nodes: ['n1'],
    cannotPass: { quorate: {}, etcd: {} },
    testsMin: 36,
    prepare: (directory) =>
      prepareGo(directory, {
        module: 'github.com/coredns/coredns@v1.15.0',
        packages: ['plugin/etcd'],
        flags: ['-tags', 'etcd'],
      }),
  },
  {
    name: 'etcd2topo of Vitess 0.24',
    nodes: [],
    cannotPass: {
      quorate: { 'etcd2topo.TestEtcd2TLS': 'A node needs the CA that signed an intermediate one.' },
      etcd: {},
    },
    testsMin: 5,
    prepare: (directory) =>
      prepareGo(directory, {
        module: 'vitess.io/vitess@v0.24.4',
        packages: ['go/vt/topo/etcd2topo'],
        programs: ['go/cmd/vtctldclient'],
        // The ports next to that of a node are those of other nodes.
        variables: { PROBE_DISTANCE: '100' },
      }),
  },
  {
    name: 'pkg/kvstore of Cilium 1.20',
    nodes: ['n1'],
    cannotPass: { quorate: {}, etcd: {} },
    testsMin: 112,
    prepare: (directory) =>
      prepareGo(directory, {
        module: 'github.com/cilium/cilium@v1.20.2',
        packages: ['pkg/kvstore', 'pkg/kvstore/store', 'pkg/kvstore/allocator'],
        flags: ['-ldflags', `-X ${CILIUM}.etcdDummyAddress=http://127.0.0.1:${SUITE_PORT}`],
        variables: { INTEGRATION_TESTS: 'true' },
      }),
  },
  {
    name: 'jetcd 0.8.5 of Java',
    nodes: ['n1'],
    cannotPass: { quorate: {}, etcd: {} },
    testsMin: 19,
    prepare: (directory) => prepareJetcd(directory, '0.8.5'),
  },
]
