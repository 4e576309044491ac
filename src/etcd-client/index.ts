/// <reference lib="esnext.disposable" preserve="true" />
// The driver for etcd: the client, and with it the recipes, for a cluster of etcd.
//
//   const kv = new EtcdClient({ endpoints: ['http://127.0.0.1:2379'] })
//   const held = await lock(kv, 'deploy')

import '../system/require-node.ts'

export { EtcdClient, type EtcdClientOptions } from './etcd-client.ts'
