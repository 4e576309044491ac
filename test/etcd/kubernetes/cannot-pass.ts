// The tests of Kubernetes' storage layer that cannot pass on quorate, with the reason.

const PREVIOUS =
  'A watch from the compact revision has the value before: the test expects the error that etcd causes without it.'

export const CANNOT_PASS: Readonly<Record<string, string>> = {
  'etcd3.TestWatch/WatchFromZero': PREVIOUS,
}
