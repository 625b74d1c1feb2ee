/** kafkajs keeps this to itself; see request-queue.ts. */
declare module 'kafkajs/src/network/requestQueue/index.js' {
  interface RequestQueue {
    readonly pending: readonly unknown[];
    scheduleCheckPendingRequests: (this: RequestQueue) => void;
  }
  const RequestQueue: { readonly prototype: RequestQueue };
  // oxlint-disable-next-line import/no-default-export -- it is CommonJS
  export default RequestQueue;
}
