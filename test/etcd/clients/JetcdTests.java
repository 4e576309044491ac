// Tests with jetcd, the Java client of etcd, of the empty server at the address that is the argument. Each prints a
// line with its outcome and its name.

import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.Election;
import io.etcd.jetcd.KV;
import io.etcd.jetcd.Watch;
import io.etcd.jetcd.auth.Permission;
import io.etcd.jetcd.common.exception.CompactedException;
import io.etcd.jetcd.election.LeaderResponse;
import io.etcd.jetcd.lease.LeaseKeepAliveResponse;
import io.etcd.jetcd.op.Cmp;
import io.etcd.jetcd.op.CmpTarget;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.DeleteOption;
import io.etcd.jetcd.options.GetOption;
import io.etcd.jetcd.options.LeaseOption;
import io.etcd.jetcd.options.OptionsUtil;
import io.etcd.jetcd.options.PutOption;
import io.etcd.jetcd.options.WatchOption;
import io.etcd.jetcd.support.Observers;
import io.etcd.jetcd.watch.WatchResponse;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayOutputStream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

public class JetcdTests {
  /** Limit on a response that fails to arrive. */
  static final long SECONDS_MAX = 60;
  static final long TTL = 300;

  static String endpoint;
  static Client client;
  static KV kv;

  interface Body {
    void run() throws Exception;
  }

  public static void main(String[] args) throws Exception {
    endpoint = args[0];
    client = Client.builder().endpoints(endpoint).build();
    kv = client.getKVClient();
    Map<String, Body> tests = new LinkedHashMap<>();
    tests.put("put_get_delete", JetcdTests::putGetDelete);
    tests.put("ranges", JetcdTests::ranges);
    tests.put("transactions", JetcdTests::transactions);
    tests.put("nested_transaction", JetcdTests::nestedTransaction);
    tests.put("namespace", JetcdTests::namespace);
    tests.put("errors", JetcdTests::errors);
    tests.put("compaction", JetcdTests::compaction);
    tests.put("lease", JetcdTests::lease);
    tests.put("lease_kept_alive", JetcdTests::leaseKeptAlive);
    tests.put("watch", JetcdTests::watch);
    tests.put("watch_of_the_past", JetcdTests::watchOfThePast);
    tests.put("watch_of_a_compacted_revision", JetcdTests::watchOfCompactedRevision);
    tests.put("progress", JetcdTests::progress);
    tests.put("lock", JetcdTests::lock);
    tests.put("election", JetcdTests::election);
    tests.put("maintenance", JetcdTests::maintenance);
    tests.put("members", JetcdTests::members);
    tests.put("roles", JetcdTests::roles);
    tests.put("users", JetcdTests::users);
    for (Map.Entry<String, Body> test : tests.entrySet()) run(test.getKey(), test.getValue());
    System.exit(0);
  }

  static void run(String name, Body body) {
    try {
      body.run();
      System.out.println("PASS " + name);
    } catch (Throwable error) {
      System.out.println("FAIL " + name);
      error.printStackTrace(System.out);
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Keys

  static void putGetDelete() throws Exception {
    ByteSequence key = bytes("keys/a");
    equal(false, get(kv.put(key, bytes("1"))).hasPrevKv());
    var prev = get(kv.put(key, bytes("2"), PutOption.builder().withPrevKV().build())).getPrevKv();
    equal("1", text(prev.getValue()));
    var row = get(kv.get(key)).getKvs().get(0);
    equal(List.of("2", 2L), List.of(text(row.getValue()), row.getVersion()));
    var old = GetOption.builder().withRevision(row.getCreateRevision()).build();
    equal("1", text(get(kv.get(key, old)).getKvs().get(0).getValue()));
    var deleted = get(kv.delete(key, DeleteOption.builder().withPrevKV(true).build()));
    equal(List.of(1L, "2"), List.of(deleted.getDeleted(), text(deleted.getPrevKvs().get(0).getValue())));
    equal(0L, get(kv.get(key)).getCount());
    equal(0L, get(kv.delete(key)).getDeleted());
  }

  static void ranges() throws Exception {
    for (String name : List.of("b", "a", "c")) get(kv.put(bytes("ranges/" + name), bytes(name)));
    ByteSequence prefix = bytes("ranges/");
    var descending =
        GetOption.builder()
            .isPrefix(true)
            .withSortField(GetOption.SortTarget.MOD)
            .withSortOrder(GetOption.SortOrder.DESCEND)
            .withLimit(2)
            .build();
    var response = get(kv.get(prefix, descending));
    equal(List.of("c", "a"), response.getKvs().stream().map(each -> text(each.getValue())).toList());
    equal(List.of(true, 3L), List.of(response.isMore(), response.getCount()));
    var from = GetOption.builder().withRange(OptionsUtil.prefixEndOf(prefix)).withKeysOnly(true).build();
    var keys = get(kv.get(bytes("ranges/b"), from)).getKvs();
    equal(List.of("", ""), keys.stream().map(each -> text(each.getValue())).toList());
    equal(3L, get(kv.get(prefix, GetOption.builder().isPrefix(true).withCountOnly(true).build())).getCount());
    equal(3L, get(kv.delete(prefix, DeleteOption.builder().isPrefix(true).build())).getDeleted());
  }

  static void transactions() throws Exception {
    ByteSequence key = bytes("transactions/a");
    var absent = new Cmp(key, Cmp.Op.EQUAL, CmpTarget.version(0));
    var put = Op.put(key, bytes("1"), PutOption.DEFAULT);
    var read = Op.get(key, GetOption.DEFAULT);
    var first = get(kv.txn().If(absent).Then(put, read).Else(read).commit());
    var found = first.getGetResponses().get(0).getKvs().get(0);
    equal(List.of(true, "1"), List.of(first.isSucceeded(), text(found.getValue())));
    var second = get(kv.txn().If(absent).Then(put).Else(read).commit());
    equal(List.of(false, 0), List.of(second.isSucceeded(), second.getPutResponses().size()));
    var row = second.getGetResponses().get(0).getKvs().get(0);
    var unchanged =
        List.of(
            new Cmp(key, Cmp.Op.EQUAL, CmpTarget.modRevision(row.getModRevision())),
            new Cmp(key, Cmp.Op.GREATER, CmpTarget.createRevision(0)),
            new Cmp(key, Cmp.Op.NOT_EQUAL, CmpTarget.value(bytes("2"))),
            new Cmp(key, Cmp.Op.LESS, CmpTarget.version(2)));
    var delete = Op.delete(key, DeleteOption.builder().withPrevKV(true).build());
    var third = get(kv.txn().If(unchanged.toArray(Cmp[]::new)).Then(delete).commit());
    equal("1", text(third.getDeleteResponses().get(0).getPrevKvs().get(0).getValue()));
  }

  static void nestedTransaction() throws Exception {
    ByteSequence key = bytes("nested/a");
    // It is false: comparisons come before all changes.
    var isOld = new Cmp[] {new Cmp(key, Cmp.Op.GREATER, CmpTarget.version(0))};
    var put = new Op[] {Op.put(bytes("nested/b"), bytes("new"), PutOption.DEFAULT)};
    var read = new Op[] {Op.get(key, GetOption.DEFAULT)};
    var response = get(kv.txn().Then(Op.put(key, bytes("1"), PutOption.DEFAULT), Op.txn(isOld, put, read)).commit());
    equal(1, response.getTxnResponses().size());
    equal("1", text(response.getTxnResponses().get(0).getGetResponses().get(0).getKvs().get(0).getValue()));
  }

  static void namespace() throws Exception {
    try (Client inside = Client.builder().endpoints(endpoint).namespace(bytes("namespace/")).build()) {
      get(inside.getKVClient().put(bytes("a"), bytes("1")));
      var all = GetOption.builder().isPrefix(true).build();
      equal("a", text(get(inside.getKVClient().get(bytes(""), all)).getKvs().get(0).getKey()));
    }
    equal("1", text(get(kv.get(bytes("namespace/a"))).getKvs().get(0).getValue()));
  }

  static void errors() throws Exception {
    var lost = PutOption.builder().withLeaseId(99_999).build();
    fails("etcdserver: requested lease not found", kv.put(bytes("errors/a"), bytes("1"), lost));
    fails("etcdserver: key is not provided", kv.put(bytes(""), bytes("1")));
    var twice = Op.put(bytes("errors/a"), bytes("1"), PutOption.DEFAULT);
    fails("etcdserver: duplicate key given in txn request", kv.txn().Then(twice, twice).commit());
    var future = GetOption.builder().withRevision(1_000_000_000).build();
    fails("etcdserver: mvcc: required revision is a future revision", kv.get(bytes("errors/a"), future));
    fails("etcdserver: requested lease not found", client.getLeaseClient().revoke(99_999));
  }

  static void compaction() throws Exception {
    ByteSequence key = bytes("compaction/a");
    long revision = get(kv.put(key, bytes("1"))).getHeader().getRevision();
    long last = get(kv.put(key, bytes("2"))).getHeader().getRevision();
    get(kv.compact(last));
    var old = GetOption.builder().withRevision(revision).build();
    fails("etcdserver: mvcc: required revision has been compacted", kv.get(key, old));
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Leases

  static long grant() throws Exception {
    return get(client.getLeaseClient().grant(TTL)).getID();
  }

  static void lease() throws Exception {
    var leases = client.getLeaseClient();
    long id = grant();
    ByteSequence key = bytes("lease/a");
    get(kv.put(key, bytes("1"), PutOption.builder().withLeaseId(id).build()));
    equal(id, get(kv.get(key)).getKvs().get(0).getLease());
    equal(TTL, get(leases.keepAliveOnce(id)).getTTL());
    var state = get(leases.timeToLive(id, LeaseOption.builder().withAttachedKeys().build()));
    var keys = state.getKeys().stream().map(JetcdTests::text).toList();
    equal(List.of(TTL, List.of("lease/a")), List.of(state.getGrantedTTL(), keys));
    get(leases.revoke(id));
    equal(0L, get(kv.get(key)).getCount());
    equal(-1L, get(leases.timeToLive(id, LeaseOption.DEFAULT)).getTTL());
  }

  static void leaseKeptAlive() throws Exception {
    var leases = client.getLeaseClient();
    long id = grant();
    BlockingQueue<Object> received = new LinkedBlockingQueue<>();
    try (var alive = leases.keepAlive(id, observerOf(received))) {
      equal(TTL, ((LeaseKeepAliveResponse) next(received)).getTTL());
    }
    get(leases.revoke(id));
    BlockingQueue<Object> ended = new LinkedBlockingQueue<>();
    try (var alive = leases.keepAlive(id, observerOf(ended))) {
      equal("etcdserver: requested lease not found", ((Throwable) next(ended)).getMessage());
    }
  }

  static StreamObserver<LeaseKeepAliveResponse> observerOf(BlockingQueue<Object> received) {
    return Observers.<LeaseKeepAliveResponse>builder().onNext(received::add).onError(received::add).build();
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Watches

  static Watch.Listener into(BlockingQueue<Object> received) {
    return Watch.listener(received::add, received::add);
  }

  static String eventsOf(Object response) {
    if (response instanceof Throwable error) throw new AssertionError(error);
    StringBuilder text = new StringBuilder();
    for (var event : ((WatchResponse) response).getEvents()) {
      var row = event.getKeyValue();
      text.append(event.getEventType()).append(' ').append(text(row.getKey())).append('=');
      text.append(text(row.getValue())).append(" was ").append(text(event.getPrevKV().getValue())).append(';');
    }
    return text.toString();
  }

  static void watch() throws Exception {
    BlockingQueue<Object> received = new LinkedBlockingQueue<>();
    var option = WatchOption.builder().isPrefix(true).withPrevKV(true).withCreateNotify(true).build();
    try (var watcher = client.getWatchClient().watch(bytes("watch/"), option, into(received))) {
      equal(true, ((WatchResponse) next(received)).isCreatedNotify());
      get(kv.put(bytes("watch/a"), bytes("1")));
      equal("PUT watch/a=1 was ;", eventsOf(next(received)));
      get(kv.put(bytes("watch/a"), bytes("2")));
      equal("PUT watch/a=2 was 1;", eventsOf(next(received)));
      get(kv.delete(bytes("watch/a")));
      equal("DELETE watch/a= was 2;", eventsOf(next(received)));
      var all = List.of("b", "c").stream().map(name -> Op.put(bytes("watch/" + name), bytes("1"), PutOption.DEFAULT));
      get(kv.txn().Then(all.toArray(Op[]::new)).commit());
      equal("PUT watch/b=1 was ;PUT watch/c=1 was ;", eventsOf(next(received)));
    }
    equal(0, received.size());
  }

  static void watchOfThePast() throws Exception {
    ByteSequence key = bytes("past/a");
    long revision = get(kv.put(key, bytes("1"))).getHeader().getRevision();
    get(kv.put(key, bytes("2")));
    get(kv.delete(key));
    BlockingQueue<Object> received = new LinkedBlockingQueue<>();
    var option = WatchOption.builder().withRevision(revision).withNoPut(true).build();
    try (var watcher = client.getWatchClient().watch(key, option, into(received))) {
      equal("DELETE past/a= was ;", eventsOf(next(received)));
    }
  }

  static void watchOfCompactedRevision() throws Exception {
    ByteSequence key = bytes("compacted/a");
    long revision = get(kv.put(key, bytes("1"))).getHeader().getRevision();
    long last = get(kv.put(key, bytes("2"))).getHeader().getRevision();
    get(kv.compact(last));
    BlockingQueue<Object> received = new LinkedBlockingQueue<>();
    var option = WatchOption.builder().withRevision(revision).build();
    try (var watcher = client.getWatchClient().watch(key, option, into(received))) {
      equal(last, ((CompactedException) next(received)).getCompactedRevision());
    }
  }

  static void progress() throws Exception {
    BlockingQueue<Object> received = new LinkedBlockingQueue<>();
    var option = WatchOption.builder().withProgressNotify(true).withCreateNotify(true).build();
    try (var watcher = client.getWatchClient().watch(bytes("progress/a"), option, into(received))) {
      next(received);
      long revision = get(kv.put(bytes("progress/b"), bytes("1"))).getHeader().getRevision();
      client.getWatchClient().requestProgress();
      var response = (WatchResponse) next(received);
      equal(List.of(true, true), List.of(response.isProgressNotify(), response.getHeader().getRevision() >= revision));
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Services

  static void lock() throws Exception {
    var locks = client.getLockClient();
    ByteSequence name = bytes("lock");
    var first = get(locks.lock(name, grant()));
    var second = locks.lock(name, grant());
    equal(2L, await(() -> get(kv.get(bytes("lock/"), GetOption.builder().isPrefix(true).build())).getCount(), 2L));
    equal(false, second.isDone());
    get(locks.unlock(first.getKey()));
    get(locks.unlock(get(second).getKey()));
    fails("etcdserver: requested lease not found", locks.lock(name, 99_999));
  }

  static void election() throws Exception {
    Election elections = client.getElectionClient();
    ByteSequence name = bytes("election");
    fails("NoLeaderException", elections.leader(name));
    BlockingQueue<Object> received = new LinkedBlockingQueue<>();
    elections.observe(
        name,
        new Election.Listener() {
          public void onNext(LeaderResponse response) {
            received.add(text(response.getKv().getValue()));
          }

          public void onError(Throwable error) {
            received.add(error);
          }

          public void onCompleted() {}
        });
    var first = get(elections.campaign(name, grant(), bytes("first"))).getLeader();
    equal("first", next(received));
    get(elections.proclaim(first, bytes("changed")));
    equal("changed", next(received));
    var campaign = elections.campaign(name, grant(), bytes("second"));
    equal("changed", text(get(elections.leader(name)).getKv().getValue()));
    get(elections.resign(first));
    var second = get(campaign).getLeader();
    equal("second", next(received));
    get(elections.resign(second));
    fails("NoLeaderException", elections.leader(name));
  }

  static void maintenance() throws Exception {
    var maintenance = client.getMaintenanceClient();
    var status = get(maintenance.statusMember(endpoint));
    equal(List.of(true, true), List.of(status.getDbSize() > 0, status.getVersion().startsWith("3.")));
    long revision = get(kv.put(bytes("maintenance/a"), bytes("1"))).getHeader().getRevision();
    equal(get(maintenance.hashKV(endpoint, revision)).getHash(), get(maintenance.hashKV(endpoint, revision)).getHash());
    equal(0, get(maintenance.listAlarms()).getAlarms().size());
    get(maintenance.defragmentMember(endpoint));
    var file = new ByteArrayOutputStream();
    long written = get(maintenance.snapshot(file));
    equal(List.of(true, (long) file.size()), List.of(written > 0, written));
  }

  static void members() throws Exception {
    var members = get(client.getClusterClient().listMember()).getMembers();
    var addresses = members.get(0).getClientURIs().stream().map(Object::toString).toList();
    equal(List.of(1, List.of(endpoint)), List.of(members.size(), addresses));
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Users

  static void roles() throws Exception {
    var auth = client.getAuthClient();
    get(auth.roleAdd(bytes("reader")));
    get(auth.roleGrantPermission(bytes("reader"), bytes("users/"), bytes("users0"), Permission.Type.READ));
    var right = get(auth.roleGet(bytes("reader"))).getPermissions().get(0);
    equal(
        List.of(Permission.Type.READ, "users/", "users0"),
        List.of(right.getPermType(), text(right.getKey()), text(right.getRangeEnd())));
    get(auth.userAdd(bytes("ann"), bytes("secret")));
    get(auth.userGrantRole(bytes("ann"), bytes("reader")));
    equal(List.of("reader"), get(auth.userGet(bytes("ann"))).getRoles());
    equal(List.of("ann"), get(auth.userList()).getUsers());
    fails("etcdserver: user name already exists", auth.userAdd(bytes("ann"), bytes("secret")));
    fails("etcdserver: role name not found", auth.userGrantRole(bytes("ann"), bytes("none")));
  }

  static void users() throws Exception {
    var auth = client.getAuthClient();
    get(kv.put(bytes("users/a"), bytes("1")));
    get(auth.userAdd(bytes("root"), bytes("secret")));
    get(auth.userGrantRole(bytes("root"), bytes("root")));
    get(auth.authEnable());
    try (Client root = as("root"); Client ann = as("ann")) {
      fails("etcdserver: user name is empty", kv.get(bytes("users/a")));
      equal(1L, get(ann.getKVClient().get(bytes("users/a"))).getCount());
      fails("etcdserver: permission denied", ann.getKVClient().put(bytes("users/a"), bytes("2")));
      var both = Permission.Type.READWRITE;
      get(root.getAuthClient().roleGrantPermission(bytes("reader"), bytes("users/"), bytes("users0"), both));
      get(ann.getKVClient().put(bytes("users/a"), bytes("2")));
      get(root.getAuthClient().userRevokeRole(bytes("ann"), bytes("reader")));
      fails("etcdserver: permission denied", ann.getKVClient().get(bytes("users/a")));
      get(root.getAuthClient().authDisable());
    }
    equal("2", text(get(kv.get(bytes("users/a"))).getKvs().get(0).getValue()));
  }

  static Client as(String user) {
    return Client.builder().endpoints(endpoint).user(bytes(user)).password(bytes("secret")).build();
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Helpers

  static ByteSequence bytes(String text) {
    return ByteSequence.from(text.getBytes());
  }

  static String text(ByteSequence bytes) {
    return bytes.toString();
  }

  static <T> T get(CompletableFuture<T> future) throws Exception {
    return future.get(SECONDS_MAX, TimeUnit.SECONDS);
  }

  static Object next(BlockingQueue<Object> received) throws Exception {
    Object first = received.poll(SECONDS_MAX, TimeUnit.SECONDS);
    if (first == null) throw new TimeoutException("nothing arrived");
    return first;
  }

  interface Read<T> {
    T read() throws Exception;
  }

  static <T> T await(Read<T> read, T expected) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS_MAX);
    T found = read.read();
    while (!found.equals(expected) && System.nanoTime() < end) found = read.read();
    return found;
  }

  static void equal(Object expected, Object actual) {
    if (!expected.equals(actual)) throw new AssertionError("expected " + expected + ", not " + actual);
  }

  static void fails(String message, CompletableFuture<?> future) throws Exception {
    try {
      get(future);
    } catch (ExecutionException error) {
      String found = error.getCause().toString();
      if (found.contains(message)) return;
      throw new AssertionError("expected " + message + ", not " + found, error);
    }
    throw new AssertionError("expected " + message);
  }
}
