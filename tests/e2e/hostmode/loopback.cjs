// LocalStack's Kinesis is a Node.js program that listens on every interface; required first, this keeps it on loopback.
const { Server } = require("node:net");

const listen = Server.prototype.listen;
Server.prototype.listen = function (first, ...rest) {
  if (typeof first === "object" && first !== null && "port" in first) {
    return listen.call(this, { ...first, host: "127.0.0.1" }, ...rest);
  }
  if (typeof first === "number" || typeof first === "string") {
    const callback = rest.find((argument) => typeof argument === "function");
    return listen.call(this, { port: Number(first), host: "127.0.0.1" }, callback);
  }
  return listen.call(this, first, ...rest);
};
