// A mutation says something to all who have subscribed.
const { EventEmitter, on } = require('events');
const { GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } = require('graphql');
const { useServer } = require('graphql-ws/use/ws');
const { WebSocketServer } = require('ws');

const said = new EventEmitter();

async function* listen() {
    for await (const [text] of on(said, 'text')) yield { said: text.toUpperCase() };
}

const schema = new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { ready: { type: GraphQLString } } }),
    mutation: new GraphQLObjectType({
        name: 'Mutation',
        fields: {
            say: {
                type: GraphQLString,
                args: { text: { type: new GraphQLNonNull(GraphQLString) } },
                resolve: (_, { text }) => { said.emit('text', text); },
            },
        },
    }),
    subscription: new GraphQLObjectType({
        name: 'Subscription',
        fields: { said: { type: GraphQLString, subscribe: listen } },
    }),
});

useServer({ schema }, new WebSocketServer({ host: '127.0.0.1', port: process.argv[2], path: '/graphql' }));
