// Node 20 lacks what js-libp2p 3 uses of later versions; imported before it.

Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new this((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
};
